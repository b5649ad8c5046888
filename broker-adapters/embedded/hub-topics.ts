import type { HubConnection } from './hub-connection.ts'
import { OP } from './wire.ts'

/** Broadcasts: to who listens now, the sender included. */
export interface Topics {
  listen(connection: HubConnection, topic: string): void
  unlisten(connection: HubConnection, topic: string): void
  send(topic: string, body: Uint8Array): void
  drop(connection: HubConnection): void
}

export function createTopics(markWritten: (connection: HubConnection) => void): Topics {
  const listeners = new Map<string, Set<HubConnection>>()
  function unlisten(connection: HubConnection, topic: string): void {
    const set = listeners.get(topic)
    set?.delete(connection)
    if (set?.size === 0) listeners.delete(topic)
    connection.topics.delete(topic)
  }
  return {
    listen(connection, topic) {
      const set = listeners.get(topic) ?? new Set()
      listeners.set(topic, set.add(connection))
      connection.topics.add(topic)
    },
    unlisten,
    send(topic, body) {
      for (const connection of listeners.get(topic) ?? []) {
        connection.writer.begin(OP.BROADCAST).str(topic).bytes(body).end()
        markWritten(connection)
      }
    },
    drop(connection) {
      for (const topic of connection.topics) unlisten(connection, topic)
    },
  }
}
