// For authors of adapters: the seam, and what an adapter may use of the wire.
export type * from './adapter.ts'
export type { Clock, ClockTimer } from '../protocol/clock.ts'
export { isFinalReply, type Message, type QueueRef, type Reply, type ReplyType } from '../protocol/message.ts'
