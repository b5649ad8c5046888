// A process as the hub sees it, without the adapter: for what an adapter does not do.
import { connect } from 'node:net'
import { join } from 'node:path'
import { FORMAT, latestEpoch, readHub } from '../../broker-adapters/embedded/election.ts'
import { thisProcess } from '../../broker-adapters/embedded/machine.ts'
import { createFrameParser } from '../../broker-adapters/embedded/frame-parser.ts'
import {
  createFrameWriter,
  OP,
  type FrameReader,
  type FrameWriter,
  type Hello,
} from '../../broker-adapters/embedded/wire.ts'

export interface Raw {
  send(write: (writer: FrameWriter) => void): void
  close(): void
}

export function openRaw(dir: string, onFrame: (op: number, fields: FrameReader) => void): Raw {
  const socket = connect(join(dir, readHub(dir, latestEpoch(dir))?.socket ?? 'none'))
  const writer = createFrameWriter()
  const parse = createFrameParser(onFrame)
  socket.on('data', (chunk: Buffer) => parse(chunk))
  const send = (write: (writer: FrameWriter) => void): void => {
    write(writer)
    for (const piece of writer.take()) socket.write(piece)
  }
  const hello: Hello = { ...thisProcess(), format: FORMAT, session: `raw-${Math.random()}`, canHost: false }
  send((frame) => frame.begin(OP.HELLO).str(JSON.stringify(hello)).end())
  return { send, close: () => socket.destroy() }
}

/** Opens an existing inbox, takes the replies that wait in it, and leaves it. */
export function readInbox(
  dir: string,
  address: string,
  leaseMs: number,
): Promise<{ readonly wasNew: boolean; readonly replies: string[] }> {
  return new Promise((resolve) => {
    const replies: string[] = []
    let wasNew = false
    const raw = openRaw(dir, (op, fields) => {
      if (op === OP.REPLIED) {
        fields.u32()
        const sequence = fields.num()
        replies.push(fields.str())
        raw.send((frame) => frame.begin(OP.TAKEN).u32(1).num(sequence).end())
      } else if (op === OP.ANSWER && fields.u32() === 1) {
        wasNew = fields.u8() === 1
        raw.send((frame) => frame.begin(OP.BYE).u32(2).end())
      } else if (op === OP.ANSWER) {
        raw.close()
        resolve({ wasNew, replies })
      }
    })
    raw.send((frame) => frame.begin(OP.OPEN_INBOX).u32(1).u32(1).str(address).num(leaseMs).end())
  })
}
