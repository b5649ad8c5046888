import { isErrorCode } from '../protocol/error-codes.ts'
import { ConfigError } from '../protocol/errors.ts'
import { majorOf, methodNameProblem, nameProblem } from '../protocol/queue-names.ts'
import { describeValue } from '../protocol/redact.ts'
import { factsOf, type MethodFacts } from './method.ts'
import type { AnyMethod, Schema, Service } from './types.ts'

export interface ServiceDefinition<Methods> {
  /** `major.minor.patch`; the major (0.x: the minor) is part of the queue's name. @default '1.0.0' */
  readonly version?: string | undefined
  /** Wire format of inputs and outputs. @default 'cbor' */
  readonly encoding?: 'cbor' | 'json' | undefined
  /** From `method({…})` or `methodsOf<T>()({…})`. */
  readonly methods: Methods
}

/**
 * The contract that both sides share: plain frozen data, no broker, no native code.
 * @throws ConfigError for a name, version, schema or number that cannot work; the message names it.
 */
export function defineService<const Name extends string, Methods extends Record<string, AnyMethod>>(
  name: Name,
  definition: ServiceDefinition<Methods>,
): Service<Name, Methods> {
  const problem = nameProblem(name)
  if (problem !== undefined) throw new ConfigError(`the name of a service ${problem}`)
  if (!isObject(definition) || !isObject(definition.methods))
    throw new ConfigError(`service '${name}' must be defined by { methods: { … } }`)
  const version = definition.version ?? '1.0.0'
  if (majorOf(version) === undefined)
    throw new ConfigError(`service '${name}': version must be like '1.4.2'; got ${describeValue(version)}`)
  const encoding = definition.encoding ?? 'cbor'
  if (encoding !== 'cbor' && encoding !== 'json')
    throw new ConfigError(`service '${name}': encoding must be 'cbor' or 'json'; got ${describeValue(encoding)}`)
  const methods = Object.entries(definition.methods)
  if (methods.length === 0) throw new ConfigError(`service '${name}' has no methods: give at least one`)
  for (const [method, value] of methods) checkMethod(`method '${name}.${method}'`, method, value)
  return deepFreeze({ '~replyto': 1, name, version, encoding, methods: { ...definition.methods } })
}

/** What travels whole and prints well. */
const ERROR_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/

function checkMethod(subject: string, name: string, value: unknown): void {
  const problem = methodNameProblem(name)
  if (problem !== undefined) throw new ConfigError(`${subject}: the name ${problem}`)
  if (!looksLikeMethod(value)) throw new ConfigError(`${subject} must be made by method({…}) or methodsOf<T>()`)
  const facts = factsOf(value)
  checkSchema(`${subject}: input`, facts.input)
  checkSchema(`${subject}: output`, facts.output)
  checkSchema(`${subject}: yields`, facts.yields)
  checkSchema(`${subject}: progress`, facts.progress)
  checkStream(subject, facts)
  for (const field of ['output', 'errors', 'progress', 'yields'] as const) {
    if (facts.kind === 'oneWay' && facts[field] !== undefined)
      throw new ConfigError(`${subject} is oneWay and has ${field}, which nobody could read: leave one out`)
  }
  for (const [code, schema] of Object.entries(facts.errors ?? {})) {
    if (isErrorCode(code))
      throw new ConfigError(
        `${subject} declares the error ${code}, which is a code of the library: choose another name`,
      )
    if (!ERROR_NAME.test(code))
      throw new ConfigError(
        `${subject}: the name of an error must be 1 to 64 of A-Z, a-z, 0-9, '_', '.' and '-', beginning with a letter; got ${JSON.stringify(code.slice(0, 80))}`,
      )
    checkSchema(`${subject}: error ${code}`, schema)
  }
  checkOrder(subject, facts)
  checkTimes(subject, facts)
}

function checkOrder(subject: string, { keyed, priority }: MethodFacts): void {
  checkBoolean(`${subject}: keyed`, keyed)
  checkBoolean(`${subject}: priority`, priority)
  if (keyed === true && priority === true)
    throw new ConfigError(
      `${subject} is keyed and has priority: calls of a key run in their order, and a priority would let one overtake another; leave one out`,
    )
}

function checkStream(subject: string, { kind, output, progress, keyed }: MethodFacts): void {
  if (kind !== 'stream') return
  if (output !== undefined) throw new ConfigError(`${subject} has output and yields: leave one out`)
  if (progress !== undefined)
    throw new ConfigError(`${subject} has progress and yields: what it reports on the way are its items`)
  if (keyed === true) throw new ConfigError(`${subject} has yields and is keyed: a stream would hold its key for long`)
}

function checkTimes(subject: string, facts: MethodFacts): void {
  checkNumber(`${subject}: timeoutMs`, facts.timeoutMs, 1)
  checkNumber(`${subject}: attemptTimeoutMs`, facts.attemptTimeoutMs, 1)
  checkNumber(`${subject}: retry.attempts`, facts.retry?.attempts, 1)
  checkNumber(`${subject}: retry.minDelayMs`, facts.retry?.minDelayMs, 0)
  checkNumber(`${subject}: retry.maxDelayMs`, facts.retry?.maxDelayMs, 0)
  const { minDelayMs = 200, maxDelayMs = 30_000 } = facts.retry ?? {}
  if (minDelayMs > maxDelayMs)
    throw new ConfigError(
      `${subject}: retry.minDelayMs (${minDelayMs}) must not be larger than retry.maxDelayMs (${maxDelayMs})`,
    )
}

const MAX_NUMBER = 2_147_483_647

function checkNumber(what: string, value: unknown, min: number): void {
  if (value === undefined) return
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= MAX_NUMBER) return
  throw new ConfigError(`${what} must be a whole number from ${min} to ${MAX_NUMBER}; got ${describeValue(value)}`)
}

function checkBoolean(what: string, value: unknown): void {
  if (value === undefined || typeof value === 'boolean') return
  throw new ConfigError(`${what} must be true or false; got ${String(value)}`)
}

function checkSchema(what: string, schema: Schema | undefined): void {
  if (schema === undefined) return
  const standard: unknown = isObject(schema) ? Reflect.get(schema, '~standard') : undefined
  if (isObject(standard) && typeof Reflect.get(standard, 'validate') === 'function') return
  throw new ConfigError(`${what} must be a Standard Schema (zod, valibot, arktype, …) or type<T>()`)
}

const KINDS: readonly unknown[] = ['call', 'oneWay', 'stream']

function looksLikeMethod(value: unknown): value is AnyMethod {
  return isObject(value) && 'kind' in value && KINDS.includes(value.kind)
}

/** Arktype's schemas are functions. */
function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

/** Freezes the contract's own records, not the schemas in them: some vendors compute lazily into themselves. */
function deepFreeze<T extends { readonly methods: Record<string, AnyMethod> }>(service: T): T {
  for (const method of Object.values(service.methods)) {
    const facts = factsOf(method)
    if (facts.retry !== undefined) Object.freeze(facts.retry)
    if (facts.errors !== undefined) Object.freeze(facts.errors)
    Object.freeze(method)
  }
  Object.freeze(service.methods)
  return Object.freeze(service)
}
