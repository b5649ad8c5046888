import type { Library, Node } from './library.ts'

/** The nodes of a cluster, by their numbers. */
export interface Nodes {
  readonly library: Library
  /** Connected. Rejects if it cannot be reached or is not known. */
  node(id: number): Promise<Node>
  /** Whichever there is. */
  any(): Promise<Node>
  /** Somebody has told of it. */
  learn(address: { readonly nodeId: number; readonly host: string; readonly port: number }): void
}

export function createNodes(library: Library, configured: number): Nodes {
  const addresses = new Map<number, { readonly nodeId: number; readonly host: string; readonly port: number }>()
  const open = new Map<number, Promise<Node>>()
  let seed: Promise<Node> | undefined

  async function connected(dialled: Promise<Node>): Promise<Node> {
    const node = await dialled
    if (!node.isConnected()) await node.connect()
    return node
  }

  async function dialSeed(): Promise<Node> {
    let last: unknown
    for (let tries = 0; tries < configured; tries++) {
      try {
        return await library.dial()
      } catch (error) {
        last = error
      }
    }
    throw last
  }

  function node(id: number): Promise<Node> {
    const known = open.get(id)
    if (known !== undefined) return connected(known)
    const address = addresses.get(id)
    if (address === undefined) return Promise.reject(new Error(`node ${id} is not known`))
    const dialled = library.dial(address)
    open.set(id, dialled)
    dialled.catch(() => open.get(id) === dialled && open.delete(id))
    return dialled
  }

  return {
    library,
    node,
    /** One that was connected, else any that can be. */
    async any() {
      for (const known of open.values()) {
        const found = await known.catch(() => undefined)
        if (found?.isConnected() === true) return found
      }
      try {
        seed ??= dialSeed()
        return await connected(seed)
      } catch (error) {
        seed = undefined
        for (const id of addresses.keys()) {
          const found = await node(id).catch(() => undefined)
          if (found !== undefined) return found
        }
        throw error
      }
    },
    learn(address) {
      const known = addresses.get(address.nodeId)
      if (known?.host === address.host && known.port === address.port) return
      addresses.set(address.nodeId, address)
      open.delete(address.nodeId)
    },
  }
}
