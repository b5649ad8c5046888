import { Socket } from 'node:net'
import type { ChannelModel } from 'amqplib'
import { gatherWrites } from '../gather-writes.ts'

// What amqplib has no call for. It keeps the socket of a connection where its types do not tell.

/** amqplib writes each frame by itself. */
export function gatherFrames(model: ChannelModel): void {
  const socket = socketOf(model)
  if (socket !== undefined) gatherWrites(socket)
}

/** A server that does not answer is left without a goodbye. */
export function destroySocket(model: ChannelModel): void {
  socketOf(model)?.destroy()
}

function socketOf({ connection }: ChannelModel): Socket | undefined {
  return 'stream' in connection && connection.stream instanceof Socket ? connection.stream : undefined
}
