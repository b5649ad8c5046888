import { checkValue, type Checked } from '../contract/check-value.ts'
import { MAX_CALL_DEPTH } from '../protocol/call-scope.ts'
import { codecFor, type Codec } from '../protocol/codec.ts'
import { HEADER, WIRE_VERSION } from '../protocol/headers.ts'
import type { MethodFacts } from '../contract/method.ts'
import type { Message } from '../protocol/message.ts'
import { depthOf } from './attempt.ts'
import {
  describeThrown,
  inputTooLarge,
  invalidInput,
  notCallable,
  tooDeep,
  unknownMethod,
  unreadable,
} from './failures.ts'
import type { ServedMethod } from './handlers.ts'
import type { HeldCall } from './held-calls.ts'
import type { Outcome } from './settlement.ts'
import { quote, wireText } from './wire-text.ts'
import type { WorkerParts } from './worker-parts.ts'

export type Refused = { readonly outcome: Outcome }

export interface Readable {
  readonly method: ServedMethod
  readonly codec: Codec
  readonly input: unknown
}

/** Envelope and body; INVALID_MESSAGE, UNKNOWN_METHOD, PAYLOAD_TOO_LARGE or OVERLOADED. */
export function readMessage(call: HeldCall, maxPayloadBytes: number): Readable | Refused {
  const { message, method } = call
  const problem = envelopeProblem(call)
  const codec = codecFor(wireText(message.contentType))
  if (problem !== undefined) return { outcome: problem }
  if (codec === undefined || method === undefined) return { outcome: unknownMethod(call) } // said by the problem before
  if (message.body.length > maxPayloadBytes) return { outcome: inputTooLarge(call, maxPayloadBytes) }
  if (depthOf(call) > MAX_CALL_DEPTH) return { outcome: tooDeep(call, depthOf(call)) }
  try {
    return { method, codec, input: codec.decode(message.body) }
  } catch (error) {
    return { outcome: unreadable(call, describeThrown(error)) }
  }
}

/** What this worker does not know, and a newer one may: INVALID_MESSAGE or UNKNOWN_METHOD. */
export function envelopeProblem(call: HeldCall): Outcome | undefined {
  const { message, method } = call
  const version = message.headers[HEADER.version]
  if (version !== undefined && version !== WIRE_VERSION)
    return unreadable(call, `its wire version is ${quote(version)}, known is ${WIRE_VERSION}`)
  if (!TYPES.includes(message.type))
    return unreadable(call, `its type is ${quote(message.type)}, known are ${TYPES.join(', ')}`)
  if (message.contentEncoding !== undefined && message.contentEncoding !== '')
    return unreadable(call, `its content encoding ${quote(message.contentEncoding)} is not known`)
  if (codecFor(wireText(message.contentType)) === undefined)
    return unreadable(call, `its content type ${quote(message.contentType)} is not known`)
  if (method === undefined) return unknownMethod(call)
  return isFor(message.type, method.facts.kind) ? undefined : notCallable(call)
}

const TYPES: readonly string[] = ['call', 'send', 'stream']

/** A method that yields takes streams only; one that is called takes sends too. */
function isFor(type: Message['type'], kind: MethodFacts['kind']): boolean {
  return kind === 'stream' ? type === 'stream' : type === 'send' || (type === 'call' && kind === 'call')
}

/** INVALID_INPUT with the schema's issues. A promise only where the schema gives one: this is done for every call. */
export function parseInput(
  call: HeldCall,
  input: unknown,
  { method, parts }: { readonly method: ServedMethod; readonly parts: WorkerParts },
): Parsed | Promise<Parsed> {
  if (parts.options.validate === 'off') return { input }
  const checked = checkValue(method.facts.input, input)
  return checked instanceof Promise ? checked.then((late) => toParsed(call, late)) : toParsed(call, checked)
}

type Parsed = { readonly input: unknown } | Refused

function toParsed(call: HeldCall, checked: Checked): Parsed {
  return checked.issues === undefined ? { input: checked.value } : { outcome: invalidInput(call, checked.issues) }
}
