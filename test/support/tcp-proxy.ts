import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** Stands between a client and its server, and can behave as a bad network does. */
export interface TcpProxy {
  readonly port: number
  /** From now on nothing goes through the connections that are there, and none of them ends. */
  freeze(): void
  /** New connections are taken, and nothing ever comes back. */
  swallow(): void
  /** Ends itself and all connections. */
  close(): Promise<void>
}

/** Before the server of this URL, until the test ends; `url` goes through it. */
export async function proxyOf(server: string): Promise<{ readonly proxy: TcpProxy; readonly url: string }> {
  const url = new URL(server)
  const proxy = await startProxy({ host: url.hostname, port: Number(url.port) })
  onTestFinished(() => proxy.close())
  url.host = `127.0.0.1:${proxy.port}`
  return { proxy, url: url.href }
}

/**
 * Before a server that is still to be started, as it tells its clients the proxy's port; connections are refused until it is
 * said where they lead.
 */
export async function proxyAhead(): Promise<{ readonly proxy: TcpProxy; readonly leadTo: (port: number) => void }> {
  const to = { host: '127.0.0.1', port: 1 }
  const proxy = await startProxy(to)
  onTestFinished(() => proxy.close())
  return { proxy, leadTo: (port) => void (to.port = port) }
}

async function startProxy(to: { readonly host: string; readonly port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  let isSwallowing = false
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {}) // the other side hears of it by its own socket
    return socket
  }
  const server = createServer((near) => {
    keep(near)
    if (isSwallowing) return void near.resume()
    const far = keep(connect(to.port, to.host))
    near.pipe(far).pipe(near)
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('a proxy listens on a port')
  return {
    port: address.port,
    freeze() {
      for (const socket of sockets) socket.unpipe().pause()
    },
    swallow() {
      isSwallowing = true
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
