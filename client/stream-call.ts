import { ConfigError } from '../protocol/errors.ts'
import type { CallState } from './call-state.ts'
import type { StreamReader } from './stream-reader.ts'
import type { StreamCall } from './types.ts'

/** The handle of a stream: its items can be read once. Nothing rejects until somebody reads. */
export function createStreamCall<Item>(
  state: CallState,
  reader: StreamReader,
  cancel: (state: CallState, reason: string) => void,
): StreamCall<Item> {
  const items = read() as AsyncGenerator<Item> // parsed by the contract's schema
  // A generator does nothing on `return()` before its first item, and waits for the item that was asked for.
  const iterator: AsyncIterator<Item> = {
    next: () => items.next(),
    return(value) {
      reader.leave()
      return items.return(value)
    },
  }
  return {
    id: state.id,
    cancel: (reason = 'no reason given') => cancel(state, reason),
    [Symbol.asyncIterator]: () => iterator,
  }

  async function* read(): AsyncGenerator<unknown> {
    const source = await (reader.source ?? reader.items)
    if (typeof source !== 'object' || source === null || !(Symbol.asyncIterator in source))
      throw new ConfigError('a middleware of the client gave no AsyncIterable for a stream: return what next() gives')
    yield* source as AsyncIterable<unknown> // looked at just before
  }
}
