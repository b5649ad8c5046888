import { majorOf } from '../protocol/queue-names.ts'
import { factsOf } from './method.ts'
import type { RetryOptions, Schema, Service } from './types.ts'

/** A contract as JSON, for tools and other languages. Schemas appear as JSON Schema where their vendor can say it. */
export interface ServiceDescription {
  readonly name: string
  readonly version: string
  readonly major: string
  readonly encoding: 'cbor' | 'json'
  readonly methods: Readonly<Record<string, MethodDescription>>
}

export interface MethodDescription {
  readonly kind: 'call' | 'oneWay' | 'stream'
  readonly input?: SchemaDescription
  readonly output?: SchemaDescription
  readonly yields?: SchemaDescription
  readonly progress?: SchemaDescription
  readonly errors?: Readonly<Record<string, SchemaDescription>>
  readonly timeoutMs?: number
  readonly attemptTimeoutMs?: number
  readonly idempotent?: boolean
  readonly retry?: RetryOptions
  readonly keyed?: boolean
  readonly priority?: boolean
}

export interface SchemaDescription {
  /** Of the Standard Schema; 'replyto' for `type<T>()`, which checks nothing. */
  readonly vendor: string
  /** Draft 2020-12. */
  readonly jsonSchema?: Readonly<Record<string, unknown>>
}

export function describeService(service: Service): ServiceDescription {
  const methods = Object.entries(service.methods).map(
    ([name, method]) => [name, describeMethod(factsOf(method))] as const,
  )
  return {
    name: service.name,
    version: service.version,
    major: majorOf(service.version) ?? service.version,
    encoding: service.encoding,
    methods: Object.fromEntries(methods),
  }
}

function describeMethod(facts: ReturnType<typeof factsOf>): MethodDescription {
  const { kind, input, output, yields, progress, errors, timeoutMs, attemptTimeoutMs, idempotent, retry } = facts
  const { keyed, priority } = facts
  return {
    kind,
    ...(input && { input: describeSchema(input) }),
    ...(output && { output: describeSchema(output) }),
    ...(yields && { yields: describeSchema(yields) }),
    ...(progress && { progress: describeSchema(progress) }),
    ...(errors && {
      errors: Object.fromEntries(Object.entries(errors).map(([code, schema]) => [code, describeSchema(schema)])),
    }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(attemptTimeoutMs !== undefined && { attemptTimeoutMs }),
    ...(idempotent !== undefined && { idempotent }),
    ...(retry && { retry: { ...retry } }),
    ...(keyed !== undefined && { keyed }),
    ...(priority !== undefined && { priority }),
  }
}

/** The input side is what travels: the receiver parses. https://standardschema.dev/json-schema */
function describeSchema(schema: Schema): SchemaDescription {
  const standard = schema['~standard']
  const jsonSchema = jsonSchemaOf(standard)
  return { vendor: standard.vendor, ...(jsonSchema && { jsonSchema }) }
}

function jsonSchemaOf(standard: object): Readonly<Record<string, unknown>> | undefined {
  const converter: unknown = Reflect.get(standard, 'jsonSchema')
  if (typeof converter !== 'object' || converter === null) return undefined
  const convert: unknown = Reflect.get(converter, 'input')
  if (typeof convert !== 'function') return undefined
  try {
    const result: unknown = Reflect.apply(convert, converter, [{ target: 'draft-2020-12' }])
    return typeof result === 'object' && result !== null ? { ...result } : undefined
  } catch {
    return undefined // a schema that JSON Schema cannot express, for example one with a transform
  }
}
