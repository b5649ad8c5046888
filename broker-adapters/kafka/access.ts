import { isDenied } from './failures.ts'
import { protocolError } from './places.ts'
import type { Producer } from './producer.ts'
import type { Place, Wire } from './wire.ts'

// A right that is missing is found at once, and not by what never comes. Each rejects with an error of the library that names the topic.

/** @param offset where reading would go on */
export async function assertReadable(wire: Wire, place: Place, offset?: number): Promise<void> {
  const leader = (await wire.topic(place.topic))?.leaders[place.partition]
  const [end = 0] = offset === undefined ? await wire.offsets([place], 'latest') : [offset]
  if (leader === undefined) return
  const [fetched] = await wire.fetch(leader, [{ ...place, offset: end }], { waitMs: 0, maxBytes: 1 })
  if (fetched?.error !== undefined && isDenied(fetched.error))
    throw protocolError(fetched.error, `topic ${place.topic}`)
}

/** Says something that nobody hears. */
export async function assertWritable(producer: Producer, place: Place): Promise<void> {
  const appended = await producer.append(place, { key: null, value: null, headers: {} })
  if (appended.status !== 'stored' && isDenied(appended.error))
    throw protocolError(appended.error, `topic ${place.topic}`)
}
