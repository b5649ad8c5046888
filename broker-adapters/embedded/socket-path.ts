import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { BrokerError } from '../../protocol/errors.ts'

/** sockaddr_un has 108 bytes, one for the NUL; Node 20 cuts a longer path off without a word. */
const MAX_PATH_BYTES = 107

/**
 * The path by which a socket of this directory is bound or connected to. A long one goes through the directory's file
 * descriptor (Linux); `release` closes that, after the socket is closed.
 */
export function openSocketPath(dir: string, name: string): { readonly path: string; readonly release: () => void } {
  const path = join(dir, name)
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return { path, release: () => undefined }
  if (process.platform !== 'linux') {
    throw new BrokerError(
      'BROKER_REFUSED',
      `the path of the directory is too long for a socket (${Buffer.byteLength(path)} bytes, ${MAX_PATH_BYTES} at most): ${dir}`,
    )
  }
  const fd = openSync(dir, 'r')
  let isOpen = true
  return {
    path: `/proc/self/fd/${fd}/${name}`,
    release() {
      if (isOpen) closeSync(fd)
      isOpen = false
    },
  }
}
