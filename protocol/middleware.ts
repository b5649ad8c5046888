import { ConfigError } from './errors.ts'

export interface MiddlewareCall {
  readonly side: 'client' | 'worker'
  /** Of a stream, `next` gives its items as an AsyncIterable, and so does the middleware. */
  readonly kind: 'call' | 'send' | 'stream'
  readonly service: string
  readonly method: string
  readonly group: string
  readonly id: string
  /** Counted from 1; at the client always 1. */
  readonly attempt: number
  /** Epoch ms. */
  readonly deadline: number | undefined
  /** May be replaced before `next()`. */
  input: unknown
  /** The client's middleware may add to them; they travel. Names do not begin with `rt-`. */
  readonly headers: Map<string, string>
  /** Passed on to the handler as `ctx.state` (worker) or kept for the middleware behind (client). */
  readonly state: Map<unknown, unknown>
}

/**
 * Runs around every call: at the client once per call, between validation and encoding; at the worker once per attempt,
 * after parsing. `next` gives the output; what it rejects with is the call's error. The first in the list is the outermost.
 */
export type Middleware = (call: MiddlewareCall, next: () => Promise<unknown>) => Promise<unknown>

/**
 * Folds the list from the right around `core`. Rejects where a middleware throws before it gives its promise; a second
 * `next()` of one middleware rejects with CONFIG, so that nothing is published or run twice.
 */
export function runMiddleware(
  middleware: readonly Middleware[],
  call: MiddlewareCall,
  core: () => Promise<unknown>,
): Promise<unknown> {
  const run = async (index: number): Promise<unknown> => {
    const layer = middleware[index]
    if (layer === undefined) return core()
    let wentOn = false
    return layer(call, () => {
      if (wentOn) return Promise.reject(new ConfigError('a middleware called next() twice: a call goes on once'))
      wentOn = true
      const rest = run(index + 1)
      rest.catch(() => {}) // who looks late, or never, has its own end: an unhandled rejection would end the process
      return rest
    })
  }
  return middleware.length === 0 ? core() : run(0)
}
