import type { HubConnection } from './hub-connection.ts'
import type { HubQueue } from './hub-queue.ts'
import type { FrameReader } from './wire.ts'

/** Answers one kind of request. Throws RangeError for what is no request. */
export type Handler = (connection: HubConnection, fields: FrameReader) => void
export type Handlers = readonly (readonly [op: number, handler: Handler])[]

/** What handlers have in common. */
export interface HandlerTools {
  readonly answer: (connection: HubConnection, seq: number, number?: number) => void
  readonly queueOf: (name: string) => HubQueue | undefined
  /** Makes it if it is missing; stored with the next commit. */
  readonly ensureQueue: (name: string) => HubQueue
}
