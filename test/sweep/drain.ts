import { eventually } from '../support/eventually.ts'
import { openEmbedded, QUEUE } from '../support/embedded-adapter.ts'
import type { EmbeddedOptions } from '../../broker-adapters/embedded/index.ts'
import type { QueueRef } from '../../protocol/message.ts'

/** Waits, as the last process of the directory, until the others have run everything. */
export async function drain(dir: string): Promise<void> {
  const last = openEmbedded({ dir })
  await last.start()
  const isEmpty = async (): Promise<boolean> => {
    const { ready, active, delayed } = await last.adapter.stats(QUEUE)
    return ready + (active ?? 0) + (delayed ?? 0) === 0
  }
  await eventually(isEmpty, { what: 'everything has run', within: 30_000 })
  await last.adapter.stop()
}

/** Takes all that is in the queue out of it; gives the ids, each as often as it was there. */
export async function takeAll(options: EmbeddedOptions, queue: QueueRef): Promise<string[]> {
  const opened = openEmbedded(options)
  const { adapter } = opened
  await opened.start()
  await adapter.declare(queue)
  const ids: string[] = []
  await adapter.consume(queue, { prefetch: 500 }, (delivery) => {
    ids.push(delivery.message.id)
    delivery.ack()
  })
  const isEmpty = async (): Promise<boolean> => {
    const { ready, active } = await adapter.stats(queue)
    return ready + (active ?? 0) === 0
  }
  await eventually(isEmpty, { what: 'all is taken', within: 30_000 })
  await adapter.stop()
  return ids
}
