import type { Socket } from 'node:net'

/**
 * What is written in one turn leaves in one piece, where a library writes each command by itself, which costs a system call and
 * often a packet of its own. Nothing waits longer than until the turn ends. For libraries that give nothing but bytes.
 */
export function gatherWrites(socket: Socket): void {
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
