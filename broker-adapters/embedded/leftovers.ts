/*
 * What processes leave that are killed while they stand by or are about to become the hub: sockets, and files that were
 * not renamed yet.
 */
import { lstatSync, readdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { codeOf } from './election.ts'
import { openSocketPath } from './socket-path.ts'

/** What is younger may be about to be used: a socket is bound before it listens, a draft is written before it is linked. */
const MIN_AGE_MS = 30_000

/** Removes them. Called by the hub of this epoch, so drafts for earlier ones are of no use to anybody. */
export async function removeLeftovers(dir: string, epoch: number): Promise<void> {
  for (const name of readdirSync(dir)) {
    if (isDraftBefore(name, epoch) || (name.startsWith('draft-') && isOld(dir, name))) {
      rmSync(join(dir, name), { recursive: true, force: true })
    } else if (/^s-.*\.sock$/.test(name) && isOld(dir, name) && (await isDeaf(dir, name))) {
      rmSync(join(dir, name), { force: true })
    }
  }
}

/** `store-<n>.draft-<pid>` or `journal-<n>.draft-<pid>`. */
function isDraftBefore(name: string, epoch: number): boolean {
  const number = /^(?:store|journal)-(\d+)\.draft-/.exec(name)?.[1]
  return number !== undefined && Number(number) < epoch
}

function isOld(dir: string, name: string): boolean {
  const mtime = lstatSync(join(dir, name), { throwIfNoEntry: false })?.mtimeMs
  return mtime !== undefined && Date.now() - mtime > MIN_AGE_MS
}

/** Asked by a connection, not by the process id in its name: its process may be of another container. */
async function isDeaf(dir: string, name: string): Promise<boolean> {
  const { path, release } = openSocketPath(dir, name)
  try {
    return await new Promise((resolve) => {
      const socket = connect(path)
      socket.once('connect', () => {
        socket.destroy()
        resolve(false)
      })
      socket.once('error', (error) => resolve(codeOf(error) === 'ECONNREFUSED'))
    })
  } finally {
    release()
  }
}
