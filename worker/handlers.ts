import { factsOf, type MethodFacts } from '../contract/method.ts'
import type { Service } from '../contract/types.ts'
import { ConfigError } from '../protocol/errors.ts'
import type { Lane, Limiter } from './limiter.ts'
import type { ResolvedServeOptions } from './options.ts'

/** A method that this worker runs. */
export interface ServedMethod {
  readonly name: string
  readonly facts: MethodFacts
  /** The user's function, bound to the object it was found in. May throw. */
  readonly run: (input: unknown, ctx: unknown) => unknown
  readonly lane: Lane
  readonly attemptTimeoutMs: number | undefined
}

/**
 * Finds a handler for each method: own properties of a plain object, methods of a class instance wherever they are inherited.
 * @throws ConfigError for a missing handler and, in a plain object, for one too many.
 */
export function collectHandlers(
  service: Service,
  handlers: unknown,
  { limiter, options }: { readonly limiter: Limiter; readonly options: ResolvedServeOptions },
): ReadonlyMap<string, ServedMethod> {
  if (typeof handlers !== 'object' || handlers === null)
    throw new ConfigError(
      `serve('${service.name}', …) takes an object with a function per method; got ${handlers === null ? 'null' : typeof handlers}`,
    )
  if (isPlain(handlers)) refuseSurplus(service, handlers)
  const served = Object.entries(service.methods).map(([name, method]): [string, ServedMethod] => {
    const facts = factsOf(method)
    const limit = options.concurrency.get(name)
    return [
      name,
      {
        name,
        facts,
        run: bindHandler(service, name, handlers),
        lane: limit === undefined ? limiter.common : limiter.lane(limit),
        attemptTimeoutMs: facts.attemptTimeoutMs ?? options.attemptTimeoutMs,
      },
    ]
  })
  return new Map(served)
}

function bindHandler(service: Service, name: string, handlers: object): ServedMethod['run'] {
  const handler: unknown = isPlain(handlers) && !Object.hasOwn(handlers, name) ? undefined : Reflect.get(handlers, name)
  if (typeof handler !== 'function')
    throw new ConfigError(
      `method '${service.name}.${name}' has no handler: give serve() a function of that name; got ${typeof handler}`,
    )
  return (input, ctx) => Reflect.apply(handler, handlers, [input, ctx])
}

function refuseSurplus(service: Service, handlers: object): void {
  const surplus = Object.keys(handlers).find((name) => !Object.hasOwn(service.methods, name))
  if (surplus === undefined) return
  throw new ConfigError(
    `handler ${JSON.stringify(surplus)} belongs to no method of '${service.name}'; its methods are ${Object.keys(service.methods).join(', ')}`,
  )
}

/** Class instances may have helpers that are no handlers. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
