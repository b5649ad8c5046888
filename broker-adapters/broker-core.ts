import { randomBytes } from 'node:crypto'
import { monotonicMs } from '../protocol/clock.ts'
import { BrokerError, CallError, ConfigError, messageOf, ReplytoError } from '../protocol/errors.ts'
import { nameProblem } from '../protocol/queue-names.ts'
import type { AdapterState, BrokerAdapter, Capabilities } from './adapter.ts'
import type { BrokerCore, BrokerState, ConnectOptions } from './broker.ts'
import { createLog } from './log.ts'
import type { Target } from './target.ts'

/** What `connect` and the broker's owner may do besides. */
export interface OwnedCore extends BrokerCore {
  capabilities(): Capabilities
  close(options: { readonly graceMs: number }): Promise<void>
}

type Close = (options: { readonly graceMs: number }) => Promise<void>

/** One connection: loads the adapter, follows its state, and ends its users in order when it closes. */
export function createBrokerCore(target: Target, options: ConnectOptions): OwnedCore {
  const resolved = resolveConnectOptions(options)
  const log = createLog(resolved.log, Date.now)
  const listeners = new Set<(state: BrokerState) => void>()
  const users = { worker: new Set<Close>(), client: new Set<Close>() }
  let state: BrokerState = 'down'
  let lastUpAt = -Infinity
  let downTimer: NodeJS.Timeout | undefined
  let adapter: BrokerAdapter | undefined
  let connected: BrokerAdapter | undefined
  let closing: Promise<void> | undefined
  const gate = createGate<BrokerAdapter>()
  const processId = `p${randomBytes(8).toString('hex')}`
  /** Clients and workers stay until they are closed, whatever their broker's sockets do. */
  const keepAlive = setInterval(() => {}, 2_147_483_647)
  const starting = start()
  gate.promise.catch(() => {}) // whoever needs the adapter gets the reason; nobody has to ask

  const core: OwnedCore = {
    url: target.url,
    namespace: resolved.namespace,
    processId,
    maxPayloadBytes: resolved.maxPayloadBytes,
    connectTimeoutMs: resolved.connectTimeoutMs,
    adapter: gate.promise,
    get state() {
      return state
    },
    get connected() {
      return connected
    },
    wasUpSince: (since) => state === 'up' || state === 'blocked' || lastUpAt >= since,
    onState(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    log: (level, code, message, about) => log.write(level, code, message, about),
    attach(role, close) {
      users[role].add(close)
      return () => users[role].delete(close)
    },
    ready: ({ timeoutMs = resolved.connectTimeoutMs } = {}) => within(gate.promise, timeoutMs, target.url),
    capabilities() {
      if (connected === undefined)
        throw new ConfigError(
          `the capabilities of ${target.url} are known after the first connection: await connect() or ready()`,
        )
      return connected.capabilities
    },
    close(options) {
      closing ??= closeAll(options)
      return closing
    },
  }
  return core

  async function start(): Promise<void> {
    try {
      adapter = await target.load()
      if (closing !== undefined) return
      await adapter.start({
        namespace: resolved.namespace,
        processId,
        maxPayloadBytes: resolved.maxPayloadBytes,
        log: (level, code, message) => log.write(level, code, message, target.url),
        now: Date.now,
        onState,
      })
      connected = adapter
      gate.resolve(adapter)
    } catch (error) {
      gate.reject(asRefusal(error, target.url))
    }
  }

  function onState(next: AdapterState, reason?: string): void {
    if (state === 'closed') return
    if (next === 'refused') {
      log.write('error', 'BROKER_REFUSED', `${target.url} refused: ${reason ?? 'no reason given'}`, target.url)
      gate.reject(new BrokerError('BROKER_REFUSED', `${target.url} refused: ${reason ?? 'no reason given'}`))
      return setState('down')
    }
    if (next === 'up') connected = adapter // said before `start` resolves: whoever hears it publishes at once
    if (next !== 'down') clearTimeout(downTimer)
    else if (state !== 'down') downTimer = setTimeout(sayDown, SHORT_ABSENCE_MS, reason).unref()
    setState(next)
  }

  function sayDown(reason: string | undefined): void {
    const why = reason === undefined ? '' : `: ${reason}`
    log.write('warn', 'BROKER_DOWN', `${target.url} is away${why}; dialling again`, target.url)
  }

  function setState(next: BrokerState): void {
    if (state === 'up' || state === 'blocked') lastUpAt = monotonicMs()
    if (state === next) return
    state = next
    for (const listener of listeners) tell(listener, next)
  }

  /** A user's listener that throws must not end up in the broker's library. */
  function tell(listener: (state: BrokerState) => void, next: BrokerState): void {
    try {
      listener(next)
    } catch (error) {
      log.write('error', 'LISTENER', `a listener of the broker's state threw: ${messageOf(error)}`)
    }
  }

  /** Workers first: their handlers' nested calls still need the clients. */
  async function closeAll({ graceMs }: { readonly graceMs: number }): Promise<void> {
    const endsAt = monotonicMs() + graceMs
    const left = (): { graceMs: number } => ({ graceMs: Math.max(0, endsAt - monotonicMs()) })
    await Promise.all(Array.from(users.worker, (close) => close({ graceMs })))
    await Promise.all(Array.from(users.client, (close) => close(left())))
    gate.reject(new CallError('CLOSED', `the broker ${target.url} was closed`))
    connected = undefined
    await adapter?.stop()
    await starting
    clearInterval(keepAlive)
    clearTimeout(downTimer)
    setState('closed')
    listeners.clear()
    log.close()
  }
}

/** A broker that is back sooner is not worth a line: an embedded hub moves whenever its process ends. */
const SHORT_ABSENCE_MS = 1_000
const MIN_PAYLOAD_BYTES = 1024

function resolveConnectOptions(
  options: ConnectOptions,
): Required<Pick<ConnectOptions, 'log'>> & { namespace: string; connectTimeoutMs: number; maxPayloadBytes: number } {
  const namespace = options.namespace ?? 'replyto'
  const problem = nameProblem(namespace)
  if (problem !== undefined) throw new ConfigError(`namespace ${problem}`)
  if (options.log !== undefined && typeof options.log !== 'function')
    throw new ConfigError('log must be a function that takes a line')
  return {
    namespace,
    log: options.log,
    connectTimeoutMs: positiveInteger('connectTimeoutMs', options.connectTimeoutMs ?? 10_000, 1),
    maxPayloadBytes: positiveInteger('maxPayloadBytes', options.maxPayloadBytes ?? 1_000_000, MIN_PAYLOAD_BYTES),
  }
}

function positiveInteger(name: string, value: unknown, min: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= 2_147_483_647) return value
  throw new ConfigError(`${name} must be a whole number from ${min} to 2147483647; got ${String(value)}`)
}

async function within(adapter: Promise<BrokerAdapter>, timeoutMs: number, url: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new BrokerError('BROKER_UNAVAILABLE', `${url} could not be reached within ${timeoutMs} ms`)),
      timeoutMs,
    )
  })
  try {
    await Promise.race([adapter, late])
  } finally {
    clearTimeout(timer)
  }
}

/** What an adapter's `start` rejects with is final; an unexpected error is one too, with its cause. */
function asRefusal(error: unknown, url: string): ReplytoError {
  if (error instanceof ReplytoError) return error
  return new BrokerError('BROKER_REFUSED', `${url}: ${messageOf(error)}`, { cause: error })
}

interface Gate<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: Error) => void
}

function createGate<T>(): Gate<T> {
  let resolve: (value: T) => void = () => {}
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue
    reject = onError
  })
  return { promise, resolve, reject }
}
