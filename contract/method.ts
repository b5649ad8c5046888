import type { StandardSchemaV1 } from '@standard-schema/spec'
import type {
  AnyMethod,
  ErrorSchemas,
  FromFunction,
  MethodDefinition,
  MethodNames,
  MethodOf,
  MethodTimes,
  Schema,
  TimesOf,
} from './types.ts'

/** What a method is at run time, as plain data: `kind` and the fields of its definition that were given. */
export interface MethodFacts extends MethodTimes {
  readonly kind: 'call' | 'oneWay' | 'stream'
  readonly input?: Schema | undefined
  readonly output?: Schema | undefined
  readonly yields?: Schema | undefined
  readonly errors?: ErrorSchemas | undefined
  readonly progress?: Schema | undefined
  readonly keyed?: boolean | undefined
  readonly priority?: boolean | undefined
}

/**
 * Declares a method from any Standard Schema (zod, valibot, arktype) or `type<T>()`. Checked by `defineService`, which
 * knows the method's name.
 */
export function method<
  I extends Schema | undefined = undefined,
  O extends Schema | undefined = undefined,
  Y extends Schema | undefined = undefined,
  E extends ErrorSchemas = {},
  P extends Schema | undefined = undefined,
  const W extends boolean = false,
  const K extends boolean = false,
>(definition: MethodDefinition<I, O, Y, E, P, W, K>): MethodOf<I, O, Y, E, P, W, NoInfer<K>> {
  const { oneWay, ...rest } = definition
  const { errors, retry } = definition
  const own = { ...(errors && { errors: { ...errors } }), ...(retry && { retry: { ...retry } }) } // to be frozen, so copied
  const kind = oneWay ? 'oneWay' : definition.yields === undefined ? 'call' : 'stream'
  const facts = { kind, ...rest, ...own }
  return facts as unknown as MethodOf<I, O, Y, E, P, W, NoInfer<K>> // the type says of the facts what inference needs
}

/** The run-time side of a method, whichever copy of the package made it. */
export function factsOf(method: AnyMethod): MethodFacts {
  return method // made by `method`, checked by `defineService`
}

/** A schema without checks: only a type. */
export function type<T>(): StandardSchemaV1<T, T> {
  return unchecked as StandardSchemaV1<T, T> // passes every value on as it is
}

/**
 * A contract from a TypeScript interface or class: `methodsOf<ImagesApi>()({ resize: {}, ping: { timeoutMs: 500 } })`.
 * Curried, as TypeScript cannot infer half of the parameters. Nothing is checked at run time.
 */
export function methodsOf<T>(): <K extends MethodNames<T>>(methods: { readonly [M in K]: TimesOf<T[M]> }) => {
  [M in K]: FromFunction<T[M]>
} {
  return <K extends MethodNames<T>>(methods: { readonly [M in K]: TimesOf<T[M]> }) => {
    const made = Object.fromEntries(
      Object.entries<MethodTimes & { readonly stream?: boolean }>(methods).map(([name, { stream, ...times }]) => [
        name,
        stream === true ? method({ ...times, yields: type() }) : method(times),
      ]),
    )
    return made as { [M in K]: FromFunction<T[M]> } // one method per key of the argument
  }
}

const unchecked: StandardSchemaV1 = Object.freeze({
  '~standard': Object.freeze({ version: 1, vendor: 'replyto', validate: (value: unknown) => ({ value }) }),
})
