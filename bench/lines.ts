import { createConnection, createServer, type Server, type Socket } from 'node:net'

/** Text lines on a socket: what the references talk. */
export interface Lines {
  send(line: string): void
  close(): void
}

/** @param path a port on this machine, or the path of a local socket */
export function dialLines(path: string | number, onLine: (line: string) => void): Promise<Lines> {
  return new Promise((resolve, reject) => {
    const socket = typeof path === 'number' ? createConnection(path, '127.0.0.1') : createConnection(path)
    socket.once('error', reject)
    socket.once('connect', () => resolve(readLines(socket, onLine)))
  })
}

/** Answers each line of each connection. Port 0 takes a free one, which `portOf` tells. */
export function serveLines(path: string | number, onLine: (line: string, from: Lines) => void): Promise<Server> {
  const server = createServer((socket) => {
    const lines = readLines(socket, (line) => onLine(line, lines))
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    if (typeof path === 'number') server.listen(path, '127.0.0.1', () => resolve(server))
    else server.listen(path, () => resolve(server))
  })
}

export function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}

function readLines(socket: Socket, onLine: (line: string) => void): Lines {
  let rest = ''
  socket.setNoDelay(true).setEncoding('utf8')
  socket.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line)
  })
  socket.on('error', () => socket.destroy()) // the other process has ended; its part is over
  return { send: (line) => void socket.write(`${line}\n`), close: () => socket.destroy() }
}
