import { BrokerError } from '../../protocol/errors.ts'
import type { Link } from './link.ts'
import { OP, type FrameReader, type FrameWriter } from './wire.ts'

/** Sends one request and waits for its answer. */
export type Ask = <Answer>(
  op: (typeof OP)[keyof typeof OP],
  write: (writer: FrameWriter) => void,
  read: (fields: FrameReader) => Answer,
) => Promise<Answer>

/** Rejects with BROKER_UNAVAILABLE while there is no connection, or if it goes before the answer. */
export function createAsk(link: Link, name: () => string): Ask {
  const unavailable = (): BrokerError => new BrokerError('BROKER_UNAVAILABLE', `the hub of ${name()} is away`)
  return (op, write, read) => {
    if (!link.isConnected) return Promise.reject(unavailable())
    return new Promise((resolve, reject) => {
      const seq = link.expect({
        onAnswer: (fields) => resolve(read(fields)),
        onLost: () => reject(unavailable()),
      })
      const writer = link.writer.begin(op).u32(seq)
      write(writer)
      writer.end()
      link.flushSoon()
    })
  }
}
