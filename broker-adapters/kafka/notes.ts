import type { Session } from './dial.ts'
import { readAll } from './read-all.ts'
import { DUE_HEADER } from './records.ts'
import { ensureTopics, type Topics, type WorkQueue } from './topics.ts'
import type { Appended } from './wire.ts'

// A message with a key keeps its place while it waits for its retry, as nothing of its key may pass it; a record cannot be changed. So what
// the retry changes is noted in a topic beside it, by its offset, before the retry counts as stored.

export interface Note {
  readonly headers: Readonly<Record<string, string>>
  /** Epoch ms; 0: now. */
  readonly dueAt: number
  /** How often it had come back before: of a retry that is counted anew. */
  readonly handBacks: number
}

const HAND_BACKS = 'rt-hand-backs'

/** @returns what became of storing it */
export async function writeNote(
  { main, producer }: Session,
  topics: Topics,
  queue: WorkQueue,
  note: Note & { readonly partition: number; readonly offset: number },
): Promise<Appended> {
  const facts = await main.topic(queue.name)
  const wanted = topics.notes(queue, facts?.partitions ?? 1)
  if (wanted === undefined) throw new Error('only a keyed queue has notes')
  await ensureTopics(main, [wanted])
  const headers = { ...note.headers, [DUE_HEADER]: String(note.dueAt), [HAND_BACKS]: String(note.handBacks) }
  return producer.append(
    { topic: wanted.topic, partition: note.partition },
    { key: Buffer.from(String(note.offset)), value: null, headers },
  )
}

/** Of one partition, by offset; the last one of each counts. */
export async function readNotes(
  session: Session,
  queue: WorkQueue,
  { partition, low }: { readonly partition: number; readonly low: number },
): Promise<ReadonlyMap<number, Note>> {
  const notes = new Map<number, Note>()
  if (queue.notes === undefined) return notes
  const facts = await session.main.topic(queue.notes)
  if (facts === undefined || partition >= facts.partitions) return notes
  for await (const { key, headers } of readAll(session.main, { topic: queue.notes, partition })) {
    const offset = Number(key?.toString() ?? NaN)
    if (!(offset >= low)) continue
    const { [DUE_HEADER]: dueAt = '0', [HAND_BACKS]: handBacks = '0', ...changed } = headers
    notes.set(offset, { headers: changed, dueAt: Number(dueAt), handBacks: Number(handBacks) })
  }
  return notes
}
