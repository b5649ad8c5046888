import { refuseId, resolveInFlight } from './options.ts'
import type { Call, CallOptions, LibraryError, MapOptions, MapRun, Outcome, Receipt, SendOptions } from './types.ts'

export type BulkOptions<Options> = Options & { readonly inFlight?: number | undefined }

type Inputs = Iterable<unknown> | AsyncIterable<unknown>
type Item = { readonly index: number; readonly input: unknown } & Outcome<unknown>
type Start = (input: unknown, options: CallOptions) => Call<unknown>

/**
 * Calls for many inputs with at most `inFlight` under way or unread. Each item has its own outcome; the run itself fails
 * only if the inputs do. Leaving the loop, or a failure of the inputs, cancels what is under way.
 */
export function mapCalls(inputs: Inputs, options: BulkOptions<MapOptions>, start: Start): MapRun<unknown, unknown> {
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
  { inFlight, ordered = false, ...options }: BulkOptions<MapOptions>,
  start: Start,
): AsyncGenerator<Item> {
  const limit = resolveInFlight(inFlight)
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
    const call = start(input, options)
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
  { inFlight, ...options }: BulkOptions<SendOptions>,
  send: (input: unknown, options: SendOptions) => Promise<Receipt>,
): Promise<SendManyResult> {
  const limit = resolveInFlight(inFlight)
  refuseId(options)
  const failed: { index: number; error: LibraryError }[] = []
  const change = createSignal()
  let stored = 0
  let running = 0
  let index = 0
  try {
    for await (const input of inputs) {
      while (running >= limit) await change.wait()
      running++
      void sendOne(input, index++)
    }
  } finally {
    while (running > 0) await change.wait()
  }
  return { stored, failed: failed.toSorted((a, b) => a.index - b.index) }

  async function sendOne(input: unknown, index: number): Promise<void> {
    try {
      await send(input, options)
      stored++
    } catch (error) {
      failed.push({ index, error: error as LibraryError }) // a send rejects with nothing else, middleware's errors apart
    }
    running--
    change.raise()
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
