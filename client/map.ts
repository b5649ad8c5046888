import { refuseId, resolveInFlight, type RequestOptions } from './options.ts'
import { ConfigError } from '../protocol/errors.ts'
import type { Call, LibraryError, MapRun, Outcome, Receipt } from './types.ts'

/** One object for all; the key of a keyed method is drawn from each input. */
export interface BulkOptions extends Omit<RequestOptions, 'key'> {
  readonly inFlight?: number | undefined
  readonly key?: ((input: never) => string) | undefined
}
export interface MapOptions extends BulkOptions {
  readonly ordered?: boolean | undefined
}

type Inputs = Iterable<unknown> | AsyncIterable<unknown>
type Item = { readonly index: number; readonly input: unknown } & Outcome<unknown>
type Start = (input: unknown, options: RequestOptions) => Call<unknown>

/**
 * Calls for many inputs with at most `inFlight` under way or unread. Each item has its own outcome; the run itself fails
 * only if the inputs do. Leaving the loop, or a failure of the inputs, cancels what is under way.
 */
export function mapCalls(inputs: Inputs, options: MapOptions, start: Start): MapRun<unknown, unknown> {
  return {
    [Symbol.asyncIterator]: () => runCalls(inputs, options, start),
    async values() {
      const values: unknown[] = []
      for await (const item of runCalls(inputs, options, start)) {
        if (item.status === 'error') throw item.error
        values[item.index] = item.value
      }
      return values
    },
  }
}

async function* runCalls(
  inputs: Inputs,
  { inFlight, ordered = false, key, ...options }: MapOptions,
  start: Start,
): AsyncGenerator<Item> {
  const limit = resolveInFlight(inFlight)
  const optionsFor = createOptionsFor(key, options)
  const source = openInputs(inputs)
  const calls = new Map<number, Call<unknown>>()
  const unread = new Map<number, Item>()
  const change = createSignal()
  let isExhausted = false
  let isLeft = false
  let failure: { readonly error: unknown } | undefined
  let next = 0
  void draw()
  try {
    for (;;) {
      const item = ordered ? unread.get(next) : unread.values().next().value
      if (item !== undefined) {
        next++
        unread.delete(item.index)
        change.raise()
        yield item
      } else if (failure !== undefined) throw failure.error
      else if (isExhausted && calls.size === 0) return
      else await change.wait()
    }
  } finally {
    isLeft = true
    change.raise()
    for (const call of calls.values()) call.cancel('the map was left')
    if (!isExhausted) endSource().catch((error: unknown) => (failure = { error })) // nobody reads it any more
  }

  async function draw(): Promise<void> {
    let index = 0
    try {
      for await (const item of { [Symbol.asyncIterator]: () => source }) {
        const input = await item
        while (!isLeft && calls.size + unread.size >= limit) await change.wait()
        if (isLeft) return
        launch(index++, input)
      }
    } catch (error) {
      failure = { error }
    }
    isExhausted = true
    change.raise()
  }

  /** An input that is waited for may never come; `for await` would end its source only then. */
  async function endSource(): Promise<void> {
    await source.return?.()
  }

  function launch(index: number, input: unknown): void {
    const call = start(input, optionsFor(input))
    calls.set(index, call)
    void call.outcome().then((outcome) => {
      calls.delete(index)
      unread.set(index, { index, input, ...outcome })
      change.raise()
    })
  }
}

/** A plain iterable is read like an asynchronous one; what it gives may be promises. */
function openInputs(inputs: Inputs): AsyncIterator<unknown> {
  if (Symbol.asyncIterator in inputs) return inputs[Symbol.asyncIterator]()
  const source = inputs[Symbol.iterator]()
  return {
    next: async () => source.next(),
    return: async () => source.return?.() ?? { done: true, value: undefined },
  }
}

export interface SendManyResult {
  readonly stored: number
  readonly failed: readonly { readonly index: number; readonly error: LibraryError }[]
}

/** Sends many inputs with at most `inFlight` unconfirmed. Rejects only if the inputs do, after the rest has settled. */
export async function sendMany(
  inputs: Inputs,
  { inFlight, key, ...options }: BulkOptions,
  send: (input: unknown, options: RequestOptions) => Promise<Receipt>,
): Promise<SendManyResult> {
  const limit = resolveInFlight(inFlight)
  refuseId(options)
  const optionsFor = createOptionsFor(key, options)
  const failed: { index: number; error: LibraryError }[] = []
  const change = createSignal()
  let stored = 0
  let running = 0
  let index = 0
  try {
    for await (const input of inputs) {
      while (running >= limit) await change.wait()
      const own = optionsFor(input)
      running++
      void sendOne(input, own, index++)
    }
  } finally {
    while (running > 0) await change.wait()
  }
  return { stored, failed: failed.toSorted((a, b) => a.index - b.index) }

  async function sendOne(input: unknown, own: RequestOptions, index: number): Promise<void> {
    try {
      await send(input, own)
      stored++
    } catch (error) {
      failed.push({ index, error: error as LibraryError }) // a send rejects with nothing else, middleware's errors apart
    }
    running--
    change.raise()
  }
}

/** The options of one input. What the user's function throws ends the run, as the inputs themselves can. */
function createOptionsFor(key: unknown, options: RequestOptions): (input: unknown) => RequestOptions {
  if (key === undefined) return () => options
  if (typeof key !== 'function')
    throw new ConfigError(`many calls take key: (input) => string, a function; got a ${typeof key}`)
  return (input) => {
    const drawn: unknown = Reflect.apply(key, undefined, [input])
    return { ...options, key: drawn as string } // checked with the other options of the call
  }
}

interface Signal {
  raise(): void
  /** The next `raise`. */
  wait(): Promise<void>
}

function createSignal(): Signal {
  const waiting: (() => void)[] = []
  return {
    raise() {
      for (const resolve of waiting.splice(0)) resolve()
    },
    wait: () => new Promise((resolve) => waiting.push(resolve)),
  }
}
