import type { Place, StoredRecord, Wire } from './wire.ts'
import { protocolError } from './places.ts'
import { isStale } from './failures.ts'

const MAX_BYTES = 4 * 1024 * 1024
const TRIES = 20
const AGAIN_MS = 100

interface Range {
  /** @default the first one that is there */
  readonly from?: number | undefined
  /** @default the end as it is now */
  readonly to?: number | undefined
}

/** What lies in a partition now, without any group. Rejects with an error of the library. */
export async function* readAll(
  wire: Wire,
  place: Place,
  { from, to }: Range = {},
): AsyncGenerator<StoredRecord, void, undefined> {
  const [first = 0] = await wire.offsets([place], 'earliest')
  const end = to ?? (await wire.offsets([place], 'latest'))[0] ?? 0
  let offset = Math.max(from ?? first, first)
  let tries = 0
  while (offset < end) {
    const leader = (await wire.topic(place.topic))?.leaders[place.partition]
    if (leader === undefined) throw protocolError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${place.topic}`)
    const [fetched] = await wire.fetch(leader, [{ ...place, offset }], { waitMs: 100, maxBytes: MAX_BYTES })
    if (fetched === undefined) return
    const { error, records, nextOffset } = fetched
    if (error !== undefined || nextOffset === offset) {
      if (error === 'OFFSET_OUT_OF_RANGE') return // it was purged meanwhile
      if (++tries > TRIES) throw protocolError(error ?? 'REQUEST_TIMED_OUT', `reading ${place.topic}`)
      if (error !== undefined && isStale(error)) wire.forget(place.topic)
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
      continue
    }
    tries = 0
    for (const record of records) if (record.offset < end) yield record
    offset = nextOffset
  }
}
