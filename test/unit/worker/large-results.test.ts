import { expect, test } from 'vitest'
import type { BrokerAdapter } from '../../../broker-adapters/adapter.ts'
import { defineService, method, type } from '../../../contract/index.ts'
import { cborCodec } from '../../../protocol/codec-cbor.ts'
import { parseWireError } from '../../../protocol/wire-errors.ts'
import { until } from './support/caller.ts'
import { fakeDelivery, fakeMessage, handFed } from './support/fake-delivery.ts'
import { runWorker } from './support/run-worker.ts'

const svc = defineService('svc', { methods: { work: method({ output: type<string>() }) } })

test('a result that the broker does not take is an error that says so, and is acked after it', async () => {
  const journal: string[] = []
  const reply: BrokerAdapter['reply'] = async (_address, batch) =>
    batch.map(({ type: kind, body }) => {
      const error = kind === 'error' ? parseWireError(cborCodec.decode(body)) : undefined
      journal.push(error === undefined ? kind : `${error.code} ${error.executed}`)
      return kind === 'result' ? 'tooLarge' : 'stored'
    })
  const fed = handFed(reply)
  await using running = await runWorker(svc, { work: () => 'done' }, { bend: fed.bend })
  const delivery = fakeDelivery(fakeMessage('work'), { journal })
  fed.hand(delivery)
  await until(() => delivery.settlements.length > 0, 'it is settled')
  expect(journal).toEqual(['result', 'PAYLOAD_TOO_LARGE yes', 'ack'])
  expect(running.worker.counters).toMatchObject({ failed: 1 })
})
