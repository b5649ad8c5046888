import { checkValue } from '../contract/check-value.ts'
import type { MethodFacts } from '../contract/method.ts'
import type { Schema } from '../contract/types.ts'
import { codecFor } from '../protocol/codec.ts'
import { messageOf, RemoteError } from '../protocol/errors.ts'
import { HEADER, WIRE_VERSION } from '../protocol/headers.ts'
import type { Reply } from '../protocol/message.ts'
import { describeIssues, errorFromWire, parseWireError, plainIssues } from '../protocol/wire-errors.ts'
import { detailsOf, factsOf, failed, type CallState, type Settled } from './call-state.ts'
import type { Validate } from './types.ts'

export interface ReadReplyOptions {
  readonly facts: MethodFacts
  readonly validate: Validate
  readonly maxPayloadBytes: number
}

/** The outcome that a final reply means. What it proves of `executed` is noted in the state first. */
export function readFinalReply(state: CallState, reply: Reply, options: ReadReplyOptions): Settled | Promise<Settled> {
  if (reply.type !== 'error' && (reply.type === 'end') !== (state.kind === 'stream'))
    return failed(unreadable(state, `a ${reply.type} does not answer a ${state.kind}`))
  if (reply.type === 'end') {
    state.evidence = 'yes'
    return { status: 'ok', value: undefined }
  }
  const decoded = decode(reply, options.maxPayloadBytes)
  if (reply.type === 'result') {
    state.evidence = 'yes'
    if (decoded.problem !== undefined) return failed(unreadable(state, decoded.problem))
    return readOutput(state, decoded.value, options)
  }
  if (decoded.problem !== undefined) return failed(unreadable(state, decoded.problem))
  return readError(state, decoded.value, options)
}

/** The items of a chunk. What an error proves of the call is noted in the state before. */
export async function readChunk(
  state: CallState,
  reply: Reply,
  { facts, validate, maxPayloadBytes }: ReadReplyOptions,
): Promise<{ readonly items: readonly unknown[] } | { readonly error: RemoteError }> {
  const decoded = decode(reply, maxPayloadBytes)
  if (decoded.problem !== undefined) return { error: unreadable(state, decoded.problem) }
  if (!Array.isArray(decoded.value)) return { error: unreadable(state, 'a chunk that is no list of items') }
  if (validate === 'off') return { items: decoded.value }
  const items: unknown[] = []
  for (const item of decoded.value) {
    const checking = checkValue(facts.yields, item)
    const checked = checking instanceof Promise ? await checking : checking
    if (checked.issues !== undefined) {
      const text = `an item does not fit the contract here: ${describeIssues(checked.issues)}`
      return {
        error: new RemoteError('INVALID_OUTPUT', text, detailsOf(state, { issues: plainIssues(checked.issues) })),
      }
    }
    items.push(checked.value)
  }
  return { items }
}

/** The value of a progress reply; undefined: unreadable. */
export function readProgress(
  reply: Reply,
  { facts, validate, maxPayloadBytes }: ReadReplyOptions,
): { readonly value: unknown } | undefined {
  const decoded = decode(reply, maxPayloadBytes)
  if (decoded.problem !== undefined) return undefined
  const checked = checkValue(validate === 'off' ? undefined : facts.progress, decoded.value)
  if (checked instanceof Promise) return decoded // reports are not held back for an asynchronous schema
  return checked.issues === undefined ? checked : undefined
}

function readOutput(
  state: CallState,
  value: unknown,
  { facts, validate }: ReadReplyOptions,
): Settled | Promise<Settled> {
  return parse(validate === 'off' ? undefined : facts.output, value, (checked) => {
    if (checked.issues === undefined) return { status: 'ok', value: checked.value }
    const text = `the output does not fit the contract here: ${describeIssues(checked.issues)}`
    return failed(new RemoteError('INVALID_OUTPUT', text, detailsOf(state, { issues: plainIssues(checked.issues) })))
  })
}

function readError(
  state: CallState,
  value: unknown,
  { facts, validate }: ReadReplyOptions,
): Settled | Promise<Settled> {
  const wire = parseWireError(value)
  state.attempts = Math.max(state.attempts, wire.attempts)
  // One copy was refused unseen; a second one may run all the same.
  state.evidence = wire.executed === 'no' && state.copies > 1 ? 'unknown' : wire.executed
  const errors = facts.errors ?? {}
  const schema = Object.hasOwn(errors, wire.code) ? errors[wire.code] : undefined
  if (schema === undefined) return failed(errorFromWire(wire, factsOf(state), undefined))
  return parse(validate === 'off' ? undefined : schema, wire.data, (checked) => {
    if (checked.issues === undefined) return failed(errorFromWire(wire, factsOf(state), { data: checked.value }))
    const text = `the worker failed with ${wire.code}, but its data does not fit the contract here: ${describeIssues(checked.issues)}`
    return failed(new RemoteError('INVALID_MESSAGE', text, detailsOf(state, { issues: plainIssues(checked.issues) })))
  })
}

type CheckedValue = Awaited<ReturnType<typeof checkValue>>

function parse(
  schema: Schema | undefined,
  value: unknown,
  next: (checked: CheckedValue) => Settled,
): Settled | Promise<Settled> {
  const checked = checkValue(schema, value)
  return checked instanceof Promise ? checked.then(next) : next(checked)
}

function decode(
  { contentType, contentEncoding, headers, body }: Reply,
  maxPayloadBytes: number,
): { readonly value: unknown; readonly problem?: undefined } | { readonly problem: string } {
  const version = headers[HEADER.version]
  if (version !== undefined && version !== WIRE_VERSION)
    return { problem: `its wire version is ${short(version)}, known is ${WIRE_VERSION}` }
  const codec = codecFor(contentType)
  if (codec === undefined) return { problem: `its content type is ${short(contentType)}` }
  if (contentEncoding !== undefined && contentEncoding !== '')
    return { problem: `its content encoding is ${short(contentEncoding)}` }
  if (body.length > maxPayloadBytes)
    return { problem: `it has ${body.length} bytes, maxPayloadBytes is ${maxPayloadBytes}` }
  try {
    return { value: codec.decode(body) }
  } catch (error) {
    return { problem: messageOf(error) }
  }
}

function unreadable(state: CallState, problem: string): RemoteError {
  return new RemoteError('INVALID_MESSAGE', `the reply could not be read: ${problem}`, detailsOf(state))
}

function short(text: string): string {
  return JSON.stringify(text.slice(0, 100))
}
