import { messageOf } from '../protocol/errors.ts'
import type { AdapterContext } from './adapter.ts'

/**
 * Calls a function of the user that nobody waits for. What it throws, or what its promise rejects with, goes to `onError`:
 * neither may end up in a broker's library, nor as an unhandled rejection.
 */
export function callListener(call: () => unknown, onError: (error: unknown) => void): void {
  try {
    const result = call()
    if (isThenable(result)) result.then(undefined, onError)
  } catch (error) {
    onError(error)
  }
}

/** Calls what is the core's or the user's, from within an adapter: what it throws is logged by its name, and ends nothing. */
export function createGuard(log: AdapterContext['log']): (what: string, run: () => unknown) => void {
  return (what, run) => callListener(run, (error) => log('error', 'LISTENER', `${what} threw: ${messageOf(error)}`))
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
