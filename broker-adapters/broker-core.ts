import { randomBytes } from 'node:crypto'
import { monotonicMs, SYSTEM_CLOCK } from '../protocol/clock.ts'
import { BrokerError, CallError, ConfigError, messageOf, ReplytoError } from '../protocol/errors.ts'
import { closeOnce, type Grace } from '../protocol/grace.ts'
import { redactError } from '../protocol/redact.ts'
import { createAbsence } from './absence.ts'
import type { AdapterState, BrokerAdapter, Capabilities } from './adapter.ts'
import type { BrokerCore, BrokerState, ConnectOptions } from './broker.ts'
import { callListener } from './call-listener.ts'
import { resolveConnectOptions } from './connect-options.ts'
import { createLog } from './log.ts'
import type { Target } from './target.ts'
import { within } from './within.ts'

/** What `connect` and the broker's owner may do besides. */
export interface OwnedCore extends BrokerCore {
  capabilities(): Capabilities
  close(options: { readonly graceMs: number | undefined }): Promise<void>
}

type Close = (options: { readonly graceMs: number }) => Promise<void>

/** One connection: loads the adapter, follows its state, and ends its users in order when it closes. */
export function createBrokerCore(target: Target, options: ConnectOptions): OwnedCore {
  const resolved = resolveConnectOptions(options)
  const { clock = SYSTEM_CLOCK } = target
  const log = createLog(resolved.log, monotonicMs)
  const listeners = new Set<(state: BrokerState) => void>()
  const refusalListeners = new Set<(refusal: ReplytoError) => void>()
  const users = { worker: new Set<Close>(), client: new Set<Close>() }
  let state: BrokerState = 'down'
  let lastUpAt = -Infinity
  const absence = createAbsence(sayDown)
  let adapter: BrokerAdapter | undefined
  let connected: BrokerAdapter | undefined
  /** Why no call can be made now. */
  let refusal: ReplytoError | undefined
  let isStopping = false
  const close = closeOnce(GRACE_MS, closeAll)
  const gate = createGate<BrokerAdapter>()
  const processId = `p${randomBytes(8).toString('hex')}`
  /** Clients and workers stay until they are closed, whatever their broker's sockets do. */
  const keepAlive = setInterval(() => {}, 2_147_483_647)
  const starting = start()
  gate.promise.catch(() => {}) // whoever needs the adapter gets the reason; nobody has to ask

  const core: OwnedCore = {
    url: target.url,
    namespace: resolved.namespace,
    clock,
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
      const heard = (next: BrokerState): void => listener(next) // one function may listen twice
      listeners.add(heard)
      return () => listeners.delete(heard)
    },
    get refusal() {
      return refusal
    },
    onRefused(listener) {
      refusalListeners.add(listener)
      return () => refusalListeners.delete(listener)
    },
    log: (level, code, message, about) => log.write(level, code, message, about),
    attach(role, close) {
      users[role].add(close)
      return () => users[role].delete(close)
    },
    async ready({ timeoutMs = resolved.connectTimeoutMs } = {}) {
      if (refusal !== undefined) throw refusal
      const late = `${target.url} could not be reached within ${timeoutMs} ms`
      await within(gate.promise, timeoutMs, () => new BrokerError('BROKER_UNAVAILABLE', late))
    },
    capabilities() {
      if (connected === undefined)
        throw new ConfigError(
          `the capabilities of ${target.url} are known after the first connection: await connect() or ready()`,
        )
      return connected.capabilities
    },
    close: ({ graceMs }) => close(graceMs),
  }
  return core

  async function start(): Promise<void> {
    try {
      adapter = await target.load()
      if (isStopping) return
      await adapter.start({
        namespace: resolved.namespace,
        processId,
        maxPayloadBytes: resolved.maxPayloadBytes,
        log: (level, code, message) => log.write(level, code, message, target.url),
        now: clock.now,
        onState,
      })
      if (isStopping) return
      connected ??= adapter
      gate.resolve(adapter)
    } catch (error) {
      refuse(asRefusal(error, target.url))
    }
  }

  function onState(next: AdapterState, reason?: string): void {
    if (isStopping || (refusal !== undefined && connected === undefined)) return // its users were told the end
    if (next === 'refused') {
      const why = `${target.url} refused: ${reason ?? 'no reason given'}`
      log.write('error', 'BROKER_REFUSED', why, target.url)
      absence.end()
      refuse(new BrokerError('BROKER_REFUSED', why))
      return setState('down')
    }
    if (next !== 'down') {
      connected = adapter // said before `start` resolves: whoever hears it publishes at once
      refusal = undefined
      absence.end()
    } else absence.note(reason)
    setState(next)
  }

  /** Ends what waits for the broker. One that was up may come back all the same; then calls are made again. */
  function refuse(error: ReplytoError): void {
    refusal ??= error
    gate.reject(refusal)
    for (const listener of refusalListeners) listener(refusal)
  }

  function sayDown(reason: string | undefined): void {
    const why = reason === undefined ? '' : `: ${reason}`
    log.write('warn', 'BROKER_DOWN', `${target.url} is away${why}; dialling again`, target.url)
  }

  function setState(next: BrokerState): void {
    if (state === 'up' || state === 'blocked') lastUpAt = clock.monotonic()
    if (state === next) return
    state = next
    for (const listener of listeners) tell(listener, next)
  }

  function tell(listener: (state: BrokerState) => void, next: BrokerState): void {
    callListener(
      () => listener(next),
      (error) => log.write('error', 'LISTENER', `a listener of the broker's state threw: ${messageOf(error)}`),
    )
  }

  /** Workers first: their handlers' nested calls still need the clients. */
  async function closeAll(grace: Grace): Promise<void> {
    await endUsers('worker', grace)
    await endUsers('client', grace)
    isStopping = true
    connected = undefined
    refusal = undefined
    refuse(new CallError('CLOSED', `the broker ${target.url} was closed`))
    await stopAdapter()
    clearInterval(keepAlive)
    absence.end()
    setState('closed')
    listeners.clear()
    log.close()
  }

  async function endUsers(role: 'worker' | 'client', grace: Grace): Promise<void> {
    const closeEach = (): Promise<PromiseSettledResult<void>[]> => {
      const { remainingMs: graceMs } = grace
      return Promise.allSettled(Array.from(users[role], async (closeUser) => closeUser({ graceMs })))
    }
    const stop = grace.onShortened(() => void closeEach())
    const ends = await closeEach()
    stop()
    for (const end of ends) {
      if (end.status === 'rejected')
        log.write('error', 'CLOSE', `a ${role} did not close: ${messageOf(end.reason)}`, role)
    }
  }

  /** A connection that does not end is left behind: the process must be able to. */
  async function stopAdapter(): Promise<void> {
    const stop = async (): Promise<void> => {
      await adapter?.stop()
      await starting
    }
    try {
      await within(stop(), STOP_MS, () => new Error(`it took more than ${STOP_MS} ms`))
    } catch (error) {
      log.write('error', 'CLOSE', `${target.url} did not close: ${messageOf(error)}`, target.url)
    }
  }
}

const GRACE_MS = 20_000
const STOP_MS = 5_000

/** What an adapter's `start` rejects with is final; an unexpected error is one too, with its cause. */
function asRefusal(error: unknown, url: string): ReplytoError {
  if (error instanceof ReplytoError) return error
  return new BrokerError('BROKER_REFUSED', `${url}: ${messageOf(error)}`, { cause: redactError(error) })
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
