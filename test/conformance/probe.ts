import { method, type } from '../../contract/method.ts'
import { defineService } from '../../contract/define-service.ts'
import { cborCodec } from '../../protocol/codec-cbor.ts'
import { ReplytoError } from '../../protocol/errors.ts'
import type { Message } from '../../protocol/message.ts'
import { requestOf } from './case-context.ts'

/** What most cases send: the key under which the ledger counts, and what the case likes to add. */
export interface Job {
  readonly key: string
  readonly value?: unknown
}

const job = type<Job>()
const anything = type<unknown>()

/** One method that answers, one that nobody waits for; tried as often as the defaults say. */
export const probe = defineService('probe', {
  methods: {
    work: method({ input: job, output: anything, progress: type<number>() }),
    note: method({ input: job, oneWay: true, retry: { minDelayMs: 1, maxDelayMs: 5 } }),
  },
})

/** The same queue; its call asks for three attempts. */
export const stubborn = defineService('probe', {
  methods: {
    work: method({ input: job, output: anything, retry: { attempts: 3, minDelayMs: 1, maxDelayMs: 5 } }),
    note: method({ input: job, oneWay: true, retry: { attempts: 3, minDelayMs: 1, maxDelayMs: 5 } }),
  },
})

/** The same queue; its call has an error of its own. */
export const declaring = defineService('probe', {
  methods: {
    work: method({
      input: job,
      output: anything,
      errors: { NOT_FOUND: type<{ readonly path: string }>(), EMPTY: type<undefined>() },
      retry: { attempts: 3, minDelayMs: 1, maxDelayMs: 5 },
    }),
    note: method({ input: job, oneWay: true }),
  },
})

/** For handlers that a case never reaches. */
export const unused = (): void => {}

/** What a call or send rejected with; it has to be an error of the library. */
export async function errorOf(promise: Promise<unknown>): Promise<ReplytoError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof ReplytoError) return error
    throw error
  }
  throw new Error('it was to reject and resolved')
}

/** A call as a foreign program would write it: the same envelope, any bytes. */
export function callOf(input: unknown, more: Partial<Message> = {}): Message {
  return requestOf({ type: 'call', body: cborCodec.encode(input), ...more })
}

/** Resolves when the signal aborts, with its reason. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason)
    else signal.addEventListener('abort', () => resolve(signal.reason), { once: true })
  })
}
