import { randomUUID } from 'node:crypto'
import { storeAtLast, type ConsumerChannel } from './consumer-channel.ts'
import { encodeNote, type PartitionNote, type RetryEntry } from './partition-notes.ts'
import { createLedger } from './partition-ledger.ts'
import type { Storing } from './storing.ts'
import { stateOf } from './topology.ts'

/** What the owner of a partition knows beside its messages: its number, and how far those are that are tried again. */
export interface PartitionState {
  /** Greater than that of each owner before. */
  readonly owner: number
  /** What a former owner stored of the first message with this key and id; each is given once. */
  claim(key: string, id: string): RetryEntry | undefined
  /** What nobody claimed: its message was settled, and its owner ended before it took this away. */
  dropUnclaimed(): void
  /** Stores it in place of the older one. Undefined: the partition is lost. Never rejects. */
  replace(
    older: RetryEntry | undefined,
    changes: Omit<RetryEntry, 'kind' | 'owner' | 'sequence'>,
  ): Promise<RetryEntry | undefined>
  drop(entry: RetryEntry): void
}

interface Place {
  readonly consumer: ConsumerChannel
  readonly storing: Storing
  /** Of the partition. */
  readonly name: string
}

/**
 * Takes the state queue over, which only owners consume, one after the other (single active consumer). All of it lies here
 * unacked, so that it goes back by itself. A probe that comes back proves that everything came which a former owner had; a
 * number that comes back proves that no later owner can have missed it. Undefined: the partition is lost. Never rejects.
 */
export async function takeOver({ consumer, storing, name }: Place): Promise<PartitionState | undefined> {
  const ledger = createLedger({
    ack: (raw) => consumer.ack(raw),
    onSuperseded: () => void breakOff(consumer),
  })
  const queue = stateOf(name)
  const store = (note: PartitionNote): Promise<boolean> =>
    storeAtLast(consumer, () => storing.note(queue, randomUUID(), encodeNote(note)))
  /** Until it comes back. */
  async function roundTrip(note: PartitionNote & { readonly token: string }): Promise<boolean> {
    const back = ledger.comes(note.token)
    if (!(await store(note))) return false
    await Promise.race([back, consumer.over])
    return !consumer.isOver
  }
  try {
    await consumer.also(queue, (raw) => ledger.hear(raw))
  } catch {
    await breakOff(consumer)
    return undefined
  }
  if (!(await roundTrip({ kind: 'probe', token: randomUUID() }))) return undefined
  const owner = ledger.lastOwner() + 1
  const token = randomUUID()
  if (!(await roundTrip({ kind: 'owner', owner, token }))) return undefined
  ledger.begin(owner)
  let sequence = 0
  return {
    owner,
    claim: (key, id) => ledger.claim(key, id),
    dropUnclaimed: () => ledger.dropUnclaimed(),
    async replace(older, changes) {
      const entry: RetryEntry = { ...changes, kind: 'entry', owner, sequence: ++sequence }
      if (!(await store(entry))) return undefined
      if (older !== undefined) ledger.drop(older)
      return entry
    },
    drop: (entry) => ledger.drop(entry),
  }
}

/** The source hears of it as of any channel that ends, and begins anew. */
async function breakOff({ channel }: ConsumerChannel): Promise<void> {
  await channel.close().catch(() => {}) // it is closed already
}
