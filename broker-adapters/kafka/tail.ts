import type { AdapterContext } from '../adapter.ts'
import { assertReadable } from './access.ts'
import type { Session } from './dial.ts'
import { createReading, type Reading } from './reading.ts'
import type { Place, StoredRecord, Wire } from './wire.ts'

/** Reads what is appended to one partition from now on, over the sessions, without any group. */
export interface Tail {
  /** Goes on where it was, the first time from the end as it is now. Rejects with an error of the library. */
  follow(session: Session): Promise<void>
  end(): void
}

interface TailOptions extends Place {
  readonly use: string
  readonly log: AdapterContext['log']
  readonly onRecord: (record: StoredRecord) => void
  /** Makes the topic, if it is not there. */
  readonly make: (session: Session) => Promise<unknown>
  /** What was to be read is gone: reading goes on with the first one that is there. */
  readonly onGap?: (() => void) | undefined
}

/** A fetch that finds nothing waits so long. */
const WAIT_MS = 1_000

export function createTail({ topic, partition, use, log, make, onRecord, onGap = () => {} }: TailOptions): Tail {
  const place = { topic, partition }
  let next: number | undefined
  let current: { readonly session: Session; readonly wire: Wire; readonly reading: Reading } | undefined
  let isOver = false
  let isLost = false

  function open(session: Session): void {
    const wire = session.open(use)
    const reading = createReading({
      wire,
      wanted: () => ({ positions: next === undefined || isLost ? [] : [{ ...place, offset: next }], waitMs: WAIT_MS }),
      onFetched({ from, records, nextOffset }) {
        if (next === undefined || from > next) return
        for (const record of records) {
          if (record.offset < next) continue
          next = record.offset + 1
          onRecord(record)
        }
        next = Math.max(next, nextOffset)
      },
      onOutOfRange: () => void find(session),
      onGone: () => void find(session),
      onTrouble: (level, reason) => log(level, 'KAFKA_READING', `${topic}: ${reason}`),
    })
    current = { session, wire, reading }
    reading.wake()
  }

  /** It was purged, or made anew. */
  async function find(session: Session): Promise<void> {
    if (isLost) return
    isLost = true
    try {
      session.main.forget(topic)
      await make(session)
      const [first = 0] = await session.main.offsets([place], 'earliest')
      next = first
      onGap()
    } catch {
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS))
    }
    isLost = false
    if (current?.session === session) current.reading.wake()
  }

  function close(): void {
    current?.reading.end()
    current?.session.close(current.wire)
    current = undefined
  }

  return {
    async follow(session) {
      if (current?.session === session) return
      close()
      next ??= (await session.main.offsets([place], 'latest'))[0]
      await assertReadable(session.main, place, next)
      if (!isOver && session.isOpen) open(session)
    },
    end() {
      isOver = true
      close()
    },
  }
}
