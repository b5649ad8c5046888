import { expect } from 'vitest'
import { claimsOf } from '../case.ts'
import { errorOf, probe, unused } from '../probe.ts'

const { cases, claim } = claimsOf('nobody listens')
export const nobodyListens = cases

claim('the TIMEOUT names queue, group and broker, and that no worker consumes it', async (t) => {
  const client = t.client()
  await client.ready()
  const error = await errorOf(client.service(probe, { group: 'gpu' }).work({ key: 'a' }, { timeoutMs: 800 }))
  expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'unknown', stage: 'queued' })
  for (const part of [
    'no worker consumes the queue',
    'group gpu',
    `${t.namespace}.q.gpu.probe.v1`,
    t.wire().target.url,
  ])
    expect(error.message).toContain(part)
})

claim('a worker that comes in time finds the call', async (t) => {
  const call = t.client().service(probe).work.start({ key: 'a' })
  await call.stored()
  await t.serve(probe, { note: unused, work: ({ key }) => key })
  expect(await call).toBe('a')
})

claim('a worker that is too busy is another TIMEOUT: it says how many consume', async (t) => {
  await t.serve(probe, { note: unused, work: () => new Promise(() => {}) })
  const error = await errorOf(t.client().service(probe).work({ key: 'a' }, { timeoutMs: 800 }))
  expect(error.code).toBe('TIMEOUT')
  expect(error.message).not.toContain('no worker consumes')
})

claim('failFast makes an error of it at once: no worker, broker away', async (t) => {
  const wire = t.wire()
  const client = t.client({ wire })
  await client.ready()
  const stub = client.service(probe, { failFast: true })
  const noWorker = await errorOf(stub.work({ key: 'a' }))
  expect(noWorker).toMatchObject({ code: 'NO_WORKER', executed: 'no', stage: 'outbox' })
  await t.serve(probe, { note: unused, work: ({ key }) => key })
  expect(await stub.work({ key: 'b' })).toBe('b')
  wire.faults.disconnect()
  const away = await errorOf(stub.work({ key: 'c' }))
  expect(away).toMatchObject({ code: 'BROKER_UNAVAILABLE', executed: 'no' })
  expect((await errorOf(stub.note.send({ key: 'd' }))).code).toBe('BROKER_UNAVAILABLE')
})

claim('a broker that was not up once since the call was made is BROKER_UNAVAILABLE', async (t) => {
  const wire = t.wire()
  const client = t.client({ wire })
  await client.ready()
  wire.faults.disconnect()
  const error = await errorOf(client.service(probe).work({ key: 'a' }, { timeoutMs: 200 }))
  expect(error).toMatchObject({ code: 'BROKER_UNAVAILABLE', executed: 'no' })
  expect(error.message).toContain(wire.target.url)
})
