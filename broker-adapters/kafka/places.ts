import type { Place } from './wire.ts'

/** As requests of the protocol want them. */
export function groupByTopic<P extends Place, T>(
  places: readonly P[],
  toPart: (place: P) => T,
): { topic: string; partitions: T[] }[] {
  const topics = new Map<string, T[]>()
  for (const place of places) {
    const parts = topics.get(place.topic)
    if (parts === undefined) topics.set(place.topic, [toPart(place)])
    else parts.push(toPart(place))
  }
  return Array.from(topics, ([topic, partitions]) => ({ topic, partitions }))
}

export function protocolError(type: string, about: string): Error {
  return Object.assign(new Error(`${about}: ${type}`), { type })
}
