import { expect } from 'vitest'
import { monotonicMs } from '../../../protocol/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { errorOf, probe, unused } from '../probe.ts'
import { isEmpty } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('any delay')
export const anyDelay = cases

const YEAR_MS = 365 * 24 * 3_600_000

claim('sends run when they are due, in the order of that, and none before', async (t) => {
  const ran: { readonly key: string; readonly at: number }[] = []
  await t.serve(probe, { work: unused, note: ({ key }) => void ran.push({ key, at: monotonicMs() }) })
  const { note } = t.client().service(probe)
  const startedAt = monotonicMs()
  for (const delayMs of [900, 300, 0, 600]) await note.send({ key: String(delayMs) }, { delayMs })
  await eventually(() => ran.length === 4)
  expect(ran.map(({ key }) => key)).toEqual(['0', '300', '600', '900'])
  // A broker's clock counts whole milliseconds.
  for (const { key, at } of ran) expect(at - startedAt).toBeGreaterThanOrEqual(Number(key) - 1)
})

claim(
  'a delay of a month or a year is stored, outlives its sender, holds nobody up and can be taken back',
  async (t) => {
    const [sender, admin] = [t.client(), t.client().queue(probe)]
    const { note } = sender.service(probe)
    await note.send({ key: 'month' }, { delayMs: YEAR_MS / 12 })
    await note.send({ key: 'year' }, { delayMs: YEAR_MS, expiresMs: 2 * YEAR_MS })
    await sender.close()
    await t.serve(probe, { work: ({ key }) => key, note: ({ key }) => t.ledger.enter(key) })
    const stub = t.client().service(probe)
    await stub.note.send({ key: 'soon' }, { delayMs: 100 })
    await eventually(() => t.ledger.total === 1)
    expect(await stub.work({ key: 'now' })).toBe('now')
    expect(t.ledger.keys).toEqual(['soon'])
    const { ready, delayed } = await admin.stats()
    expect([ready, delayed ?? 2]).toEqual([0, 2])
    expect(await admin.purge()).toEqual({ count: 2 })
  },
)

claim('two hundred sends with delays of their own each run once', async (t) => {
  const { note } = t.client().service(probe)
  const keys = Array.from({ length: 200 }, (_, n) => String(n))
  await Promise.all(keys.map((key, n) => note.send({ key }, { delayMs: 1 + ((n * 37) % 500) })))
  await t.serve(probe, { work: unused, note: ({ key }) => t.ledger.enter(key) })
  const adapter = await t.adapter()
  await eventually(() => t.ledger.total >= 200)
  await isEmpty(adapter, queueRef())
  expect([...t.ledger.entries].toSorted()).toEqual(keys.toSorted())
})

claim('what is no delay is refused, and nothing is published', async (t) => {
  const wire = t.wire()
  const { note } = t.client({ wire }).service(probe)
  for (const delayMs of [-1, 0.5, Infinity, NaN, 20 * YEAR_MS])
    expect(await errorOf(note.send({ key: 'a' }, { delayMs }))).toMatchObject({
      code: 'CONFIG',
      message: expect.stringContaining('delayMs must be a whole number from 0'),
    })
  expect(wire.faults.events.of('publish')).toEqual([])
})
