import { Socket } from 'node:net'
import type { ChannelModel } from 'amqplib'

// What amqplib has no call for. It keeps the socket of a connection where its types do not tell.

/**
 * What is written in one turn leaves in one piece: amqplib writes each frame by itself, which costs a system call and often a
 * packet of its own. Nothing waits longer than until the turn ends. amqplib gives nothing but bytes.
 */
export function gatherWrites(model: ChannelModel): void {
  const socket = socketOf(model)
  if (socket === undefined) return
  let isGathering = false
  const release = (): void => {
    isGathering = false
    socket.uncork()
  }
  const write = socket.write.bind(socket)
  socket.write = (bytes: Uint8Array | string): boolean => {
    if (!isGathering) {
      isGathering = true
      socket.cork()
      process.nextTick(release)
    }
    return write(bytes)
  }
}

/** A server that does not answer is left without a goodbye. */
export function destroySocket(model: ChannelModel): void {
  socketOf(model)?.destroy()
}

function socketOf({ connection }: ChannelModel): Socket | undefined {
  return 'stream' in connection && connection.stream instanceof Socket ? connection.stream : undefined
}
