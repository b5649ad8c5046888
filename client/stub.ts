import type { BrokerCore } from '../broker-adapters/broker.ts'
import { factsOf, type MethodFacts } from '../contract/method.ts'
import { queueOf } from '../contract/service-facts.ts'
import type { AnyMethod, Service } from '../contract/types.ts'
import { DeclaredError } from '../protocol/errors.ts'
import { queueName } from '../protocol/queue-names.ts'
import type { Attach } from './attach.ts'
import { startCall } from './call.ts'
import type { CallState } from './call-state.ts'
import type { Caller, StubMethod } from './caller.ts'
import { mapCalls, sendMany, type BulkOptions, type MapOptions } from './map.ts'
import { NO_OPTIONS, type RequestOptions, type ResolvedStubOptions } from './options.ts'
import { createStreamCall } from './stream-call.ts'
import type { StreamReader } from './stream-reader.ts'
import type { AttachOptions, Call, Receipt, StreamCall, Stub } from './types.ts'

export interface StubMakerOptions {
  readonly core: BrokerCore
  readonly caller: Caller
  readonly attach: Attach
  readonly cancel: (state: CallState, reason: string) => void
  readonly readStream: (facts: MethodFacts) => StreamReader
  readonly options: ResolvedStubOptions
}

/** The stub: a function per method, made by a loop over the contract, so that a misspelt method is undefined. */
export function createStub<S extends Service>(service: S, maker: StubMakerOptions): Stub<S> {
  const stub: Record<string, unknown> = {}
  for (const [name, method] of Object.entries(service.methods))
    stub[name] = stubMethod(service, name, { ...maker, method })
  return Object.freeze(stub) as Stub<S> // one function per method of S
}

function stubMethod(service: Service, name: string, maker: StubMakerOptions & { readonly method: AnyMethod }): unknown {
  const { core, caller, options } = maker
  const queue = queueOf(service, options.group)
  const method: StubMethod = {
    service: service.name,
    method: name,
    queue,
    queueName: queueName(core.namespace, queue),
    facts: factsOf(maker.method),
    encoding: service.encoding,
    version: service.version,
    stub: options,
  }

  const isDeclaredError = (error: unknown): boolean =>
    error instanceof DeclaredError && Object.hasOwn(method.facts.errors ?? {}, error.code)
  if (method.facts.kind === 'stream') return Object.freeze(Object.assign(streamOf(method, maker), { isDeclaredError }))

  const send = (input?: unknown, options: RequestOptions = NO_OPTIONS): Promise<Receipt> =>
    new Promise((resolve, reject) => {
      const state = caller.make(method, {
        verb: 'send',
        input,
        options,
        onSettled: (end) => (end.status === 'ok' ? resolve({ id: state.id }) : reject(end.error)),
      })
    })
  const sending = {
    send,
    sendMany: (inputs: Inputs, options: BulkOptions = {}) => sendMany(inputs, options, send),
  }
  if (method.facts.kind === 'oneWay') return Object.freeze(sending)

  const call = (input?: unknown, options: RequestOptions = NO_OPTIONS): Promise<unknown> =>
    new Promise((resolve, reject) => {
      caller.make(method, {
        verb: 'call',
        input,
        options,
        onSettled: (end) => (end.status === 'ok' ? resolve(end.value) : reject(end.error)),
      })
    })
  const startAs =
    (verb: 'call' | 'start') =>
    (input?: unknown, options: RequestOptions = NO_OPTIONS): Call<unknown> =>
      startCall({
        start: (onSettled, onProgress) => caller.make(method, { verb, input, options, onSettled, onProgress }),
        cancel: maker.cancel,
      })
  return Object.freeze(
    Object.assign(call, sending, {
      start: startAs('start'),
      map: (inputs: Inputs, options: MapOptions = {}) => mapCalls(inputs, options, startAs('call')),
      attach: (id: string, options: AttachOptions = {}): Call<unknown> =>
        startCall({
          start: (onSettled, onProgress) => maker.attach(method, { id, options, onSettled, onProgress }),
          cancel: maker.cancel,
        }),
      isDeclaredError,
    }),
  )
}

function streamOf(method: StubMethod, { caller, cancel, readStream }: StubMakerOptions) {
  return (input?: unknown, options: RequestOptions = NO_OPTIONS): StreamCall<unknown> => {
    const stream = readStream(method.facts)
    const state = caller.make(method, { verb: 'stream', input, options, onSettled: (end) => stream.end(end), stream })
    return createStreamCall(state, stream, cancel)
  }
}

type Inputs = Iterable<unknown> | AsyncIterable<unknown>
