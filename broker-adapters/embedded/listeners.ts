import type { Ask } from './ask.ts'
import type { Link } from './link.ts'
import type { Standing, StandingSet } from '../standing.ts'
import { OP, type FrameReader } from './wire.ts'

/** Broadcasts, as one process sends and hears them. */
export interface Listeners {
  send(topic: string, body: Uint8Array): void
  listen(topic: string, listener: (body: Uint8Array) => void): Promise<() => void>
  onBroadcast(fields: FrameReader): void
}

export function createListeners(options: {
  readonly link: Link
  readonly ask: Ask
  readonly standings: StandingSet
  readonly guard: (what: string, run: () => void) => void
}): Listeners {
  const { link, ask, standings, guard } = options
  const topics = new Map<
    string,
    { readonly standing: Standing; readonly heard: Set<(body: Uint8Array) => void>; readonly ready: Promise<void> }
  >()

  function openTopic(topic: string): { heard: Set<(body: Uint8Array) => void>; ready: Promise<void> } {
    const existing = topics.get(topic)
    if (existing !== undefined) return existing
    const standing: Standing = {
      establish: () =>
        ask(
          OP.LISTEN,
          (writer) => writer.str(topic),
          () => undefined,
        ),
    }
    const entry = { standing, heard: new Set<(body: Uint8Array) => void>(), ready: standings.add(standing) }
    topics.set(topic, entry)
    return entry
  }
  function closeTopic(topic: string): void {
    const entry = topics.get(topic)
    if (entry === undefined || entry.heard.size > 0) return
    topics.delete(topic)
    standings.remove(entry.standing)
    if (!link.isConnected) return
    link.writer.begin(OP.UNLISTEN).str(topic).end()
    link.flushSoon()
  }

  return {
    send(topic, body) {
      if (!link.isConnected) return
      link.writer.begin(OP.BROADCAST).str(topic).bytes(body).end()
      link.flushSoon()
    },
    async listen(topic, listener) {
      const { heard, ready } = openTopic(topic)
      // Each call is a listener of its own, even if the function is the same.
      const own = (body: Uint8Array): void => listener(body)
      heard.add(own)
      await ready
      return () => {
        if (heard.delete(own)) closeTopic(topic)
      }
    },
    onBroadcast(fields) {
      const heard = topics.get(fields.str())?.heard
      if (heard === undefined) return
      const body = new Uint8Array(fields.view())
      for (const listener of heard) guard('onBroadcast', () => listener(body))
    },
  }
}
