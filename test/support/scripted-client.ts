import { afterEach } from 'vitest'
import { createClient } from '../../client/index.ts'
import type { Client, ClientOptions } from '../../client/types.ts'
import type { ReplytoError } from '../../protocol/errors.ts'
import type { Scripted } from './scripted-adapter.ts'

const open: Client[] = []
afterEach(async () => {
  for (const client of open.splice(0)) await client.close({ graceMs: 0 })
})

/** A client of the scripted broker that is ready; closed after the test. */
export async function scriptedClient(scripted: Scripted, options: ClientOptions = {}): Promise<Client> {
  const client = createClient(scripted.target, { log: () => {}, ...options })
  open.push(client)
  await client.ready()
  return client
}

export function errorOf(promise: PromiseLike<unknown>): Promise<ReplytoError> {
  return Promise.resolve(promise).then(
    (value) => Promise.reject(new Error(`resolved with ${String(value)}`)),
    (error: unknown) => error as ReplytoError, // the expectations look at it
  )
}

/** So many turns of the event loop. */
export function turns(count: number): Promise<void> {
  return new Promise((resolve) => {
    const next = (left: number): void => (left === 0 ? resolve() : void setImmediate(next, left - 1))
    next(count)
  })
}
