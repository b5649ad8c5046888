import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'

// An AMQP 0-9-1 server that takes connections and nothing else, and says of itself what it is told to: old servers cannot be had.
// Frames and methods: https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, 2.3.5 and the class `connection`.

const CONNECTION = 10
const METHOD = { start: 10, startOk: 11, tune: 30, open: 40, openOk: 41, close: 50, closeOk: 51 } as const
const PROTOCOL_HEADER_BYTES = 8
const FRAME_END = 0xce

export interface HandshakeServer {
  readonly url: string
  close(): Promise<void>
}

/**
 * @param properties what `server-properties` has, texts only
 * @param answer to the opening of each connection, counted from 0: taken if not given
 */
export async function startHandshakeServer(
  properties: Readonly<Record<string, string>>,
  answer: (opened: number) => 'open' | 'close' = () => 'open',
): Promise<HandshakeServer> {
  let opened = 0
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    shakeHands(socket, properties, () => answer(opened++))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // of a TCP server that listens
  return {
    url: `amqp://127.0.0.1:${port}`,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function shakeHands(
  socket: Socket,
  properties: Readonly<Record<string, string>>,
  answer: () => 'open' | 'close',
): void {
  let rest = Buffer.alloc(0)
  let isStarted = false
  socket.on('data', (bytes: Buffer) => {
    rest = Buffer.concat([rest, bytes])
    if (!isStarted && rest.length >= PROTOCOL_HEADER_BYTES) {
      isStarted = true
      rest = rest.subarray(PROTOCOL_HEADER_BYTES)
      socket.write(startMethod(properties))
    }
    for (let size = frameSize(rest); size !== undefined && rest.length >= size; size = frameSize(rest)) {
      const method = rest.readUInt16BE(9)
      rest = rest.subarray(size)
      if (method === METHOD.startOk) socket.write(frame(METHOD.tune, u16(10), u32(131_072), u16(0)))
      if (method === METHOD.open)
        socket.write(answer() === 'open' ? frame(METHOD.openOk, shortText('')) : forcedClose())
      if (method === METHOD.close) socket.end(frame(METHOD.closeOk))
    }
  })
}

function startMethod(properties: Readonly<Record<string, string>>): Buffer {
  const table = Buffer.concat(
    Object.entries(properties).flatMap(([name, value]) => [shortText(name), Buffer.from('S'), longText(value)]),
  )
  return frame(
    METHOD.start,
    Buffer.from([0, 9]),
    u32(table.length),
    table,
    longText('PLAIN AMQPLAIN'),
    longText('en_US'),
  )
}

/** What a server says to all connections when it stops, or when an operator closes them. */
function forcedClose(): Buffer {
  const CONNECTION_FORCED = 320
  return frame(METHOD.close, u16(CONNECTION_FORCED), shortText('CONNECTION_FORCED - shutdown'), u16(0), u16(0))
}

/** Of the first frame, its end included; undefined: not known yet. */
function frameSize(bytes: Buffer): number | undefined {
  return bytes.length < 11 ? undefined : bytes.readUInt32BE(3) + 8
}
function frame(method: number, ...values: readonly Buffer[]): Buffer {
  const payload = Buffer.concat([u16(CONNECTION), u16(method), ...values])
  return Buffer.concat([Buffer.from([1, 0, 0]), u32(payload.length), payload, Buffer.from([FRAME_END])])
}
function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}
function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
function shortText(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])
}
function longText(text: string): Buffer {
  return Buffer.concat([u32(text.length), Buffer.from(text)])
}
