import type { BrokerAdapter, StoredDeadLetter } from '../broker-adapters/adapter.ts'
import type { BrokerCore } from '../broker-adapters/broker.ts'
import { BrokerError } from '../protocol/errors.ts'
import { HEADER } from '../protocol/headers.ts'
import type { QueueRef } from '../protocol/message.ts'
import { assertOptionNames } from '../protocol/option-names.ts'
import type { DeadLetter, QueueAdmin } from './types.ts'

const FILTERS = ['id', 'method', 'code', 'olderThanMs']

/** Looks at and changes one queue through the adapter; makes the queue if it is missing. */
export function createQueueAdmin(core: BrokerCore, queue: QueueRef): QueueAdmin {
  return {
    stats: async () => (await ready()).stats(queue),
    deadLetters: {
      async *list(filter = {}) {
        assertOptionNames('a filter', filter, FILTERS)
        for await (const letter of (await ready()).deadLetters(queue).list(filter)) yield toDeadLetter(letter)
      },
      async replay(filter) {
        assertOptionNames('a filter', filter, FILTERS)
        return { count: await (await ready()).deadLetters(queue).replay(filter) }
      },
      async purge(filter) {
        assertOptionNames('a filter', filter, FILTERS)
        return { count: await (await ready()).deadLetters(queue).purge(filter) }
      },
    },
    pause: async () => (await ready()).setPaused(queue, true),
    resume: async () => (await ready()).setPaused(queue, false),
    async purge() {
      const adapter = await ready()
      const waiting = await adapter.purge(queue, 'ready')
      return { count: waiting + (await adapter.purge(queue, 'delayed')) }
    },
  }

  async function ready(): Promise<BrokerAdapter> {
    await core.ready()
    const adapter = await core.adapter
    if (core.state === 'down') throw new BrokerError('BROKER_UNAVAILABLE', `${core.url} is away`)
    await adapter.declare(queue)
    return adapter
  }
}

function toDeadLetter({ message, code, reason, attempts, at }: StoredDeadLetter): DeadLetter {
  return { id: message.id, method: message.headers[HEADER.method] ?? '', reason, attempts, at, error: { code } }
}
