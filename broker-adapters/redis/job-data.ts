import { HEADER } from '../../protocol/headers.ts'
import type { Message } from '../../protocol/message.ts'
import { nextGeneration } from '../../protocol/replay.ts'
import type { DeadLetterReason } from '../adapter.ts'

// A message as the name and the data of a job. The data is JSON that people can read: see docs/redis.md.

const MESSAGE_TYPES = ['call', 'send', 'stream'] as const
const JSON_TYPE = 'application/json'
/** Of what is no message: the core refuses it for this, and its dead letter shows what was there. */
const NO_MESSAGE = 'text/plain'

/** What is known of a dead letter, beside its message. */
export interface Death extends DeadLetterReason {
  /** Epoch ms. */
  readonly at: number
}

/** By hand everything can be taken away. */
interface RawJob {
  readonly id: string
  readonly name: string | undefined
  readonly data: string
}

interface JobData {
  readonly id: string
  readonly type: Message['type']
  readonly replyTo?: string
  readonly contentType?: string
  readonly contentEncoding?: string
  /** Epoch ms: not handed out after this. */
  readonly expiresAt?: number
  readonly headers: Readonly<Record<string, string>>
  /** Of a JSON body: its text, as it came; else `bodyBase64`. */
  readonly body?: string
  readonly bodyBase64?: string
  readonly dead?: Death
}

export function nameOf({ headers }: Message): string {
  const name = headers[HEADER.method]
  return name === undefined || name === '' ? 'unknown' : name
}

export function writeData(
  message: Message,
  { headers = message.headers, dead, now }: { headers?: Message['headers']; dead?: Death; now?: number } = {},
): string {
  const { id, type, replyTo, contentType, contentEncoding, expiresInMs, body } = message
  const data: JobData = {
    id,
    type,
    ...(replyTo !== undefined && { replyTo }),
    contentType,
    ...(contentEncoding !== undefined && { contentEncoding }),
    ...(expiresInMs !== undefined && now !== undefined && { expiresAt: Math.ceil(now + expiresInMs) }),
    headers,
    ...writeBody(contentType, body),
    ...(dead !== undefined && { dead }),
  }
  return JSON.stringify(data)
}

/** Of text it must be the same bytes that come out again. */
function writeBody(contentType: string, body: Uint8Array): Pick<JobData, 'body' | 'bodyBase64'> {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  if (contentType === JSON_TYPE) {
    const text = bytes.toString('utf8')
    if (text.isWellFormed() && Buffer.byteLength(text) === bytes.length && Buffer.from(text).equals(bytes))
      return { body: text }
  }
  return { bodyBase64: bytes.toString('base64') }
}

/** What a job is, whoever put it there: ids are strings and headers are flat strings. */
export function readJob(job: RawJob): {
  readonly message: Message
  readonly dead: Death | undefined
  readonly expiresAt: number
} {
  const data = parseObject(job.data)
  const headers = readHeaders(data?.['headers'])
  headers[HEADER.method] ??= job.name ?? ''
  const replyTo = text(data?.['replyTo'])
  const type = MESSAGE_TYPES.find((known) => known === data?.['type'])
  const body = readBody(data)
  const message: Message = {
    id: idOf(text(data?.['id']) ?? job.id),
    type: type ?? (replyTo === undefined ? 'send' : 'call'),
    replyTo,
    contentType: body === undefined ? NO_MESSAGE : (text(data?.['contentType']) ?? JSON_TYPE),
    contentEncoding: text(data?.['contentEncoding']),
    headers,
    body: body ?? Buffer.from(job.data),
  }
  const { expiresAt } = data ?? {}
  return {
    message,
    dead: readDeath(data?.['dead']),
    expiresAt: typeof expiresAt === 'number' ? expiresAt : Infinity,
  }
}

/** BullMQ counts jobs that are given no id, and an id of ours is not only digits. */
function idOf(id: string): string {
  return /^\d+$/.test(id) ? `job-${id}` : id
}

/** As it is handed out. A dead letter that somebody has put back by the means of BullMQ is replayed. */
export function readDelivery(job: RawJob): {
  readonly message: Message
  readonly expiresAt: number
} {
  const { message, dead, expiresAt } = readJob(job)
  return { message: dead === undefined ? message : nextGeneration(message), expiresAt }
}

/** `input` is what people write who add a job by plain BullMQ. Undefined: it is no message. */
function readBody(data: Readonly<Record<string, unknown>> | undefined): Uint8Array | undefined {
  if (data === undefined) return undefined
  const { body, bodyBase64, input } = data
  if (typeof bodyBase64 === 'string') return Buffer.from(bodyBase64, 'base64')
  if (typeof body === 'string') return Buffer.from(body)
  return 'input' in data ? Buffer.from(JSON.stringify(input) ?? '') : undefined
}

function readDeath(value: unknown): Death | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { code, reason, attempts, at } = value as Partial<Record<keyof Death, unknown>>
  return {
    code: text(code) ?? 'UNKNOWN',
    reason: text(reason) ?? '',
    attempts: typeof attempts === 'number' ? attempts : 0,
    at: typeof at === 'number' ? at : 0,
  }
}

function readHeaders(value: unknown): Record<string, string> {
  const headers: Record<string, string> = {}
  if (typeof value !== 'object' || value === null) return headers
  for (const [name, header] of Object.entries(value)) {
    if (name === '__proto__' || header === null || header === undefined) continue
    headers[name] = typeof header === 'object' ? JSON.stringify(header) : String(header)
  }
  return headers
}

function parseObject(json: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>) // an object with any members, each looked at before use
      : undefined
  } catch {
    return undefined
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined
}
