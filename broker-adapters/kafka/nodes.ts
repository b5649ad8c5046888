import type { Library, Node } from './library.ts'

/** The nodes of a cluster, by their numbers. */
export interface Nodes {
  readonly library: Library
  /** Connected. Rejects if it cannot be reached or is not known. */
  node(id: number): Promise<Node>
  /** Whichever there is. */
  any(): Promise<Node>
  /** Somebody has told of it. */
  learn(address: Address & { readonly nodeId: number }): void
}

interface Address {
  readonly host: string
  readonly port: number
}

function isSame(one: Address, other: Address): boolean {
  return one.host === other.host && one.port === other.port
}

export function createNodes(library: Library, configured: number): Nodes {
  const addresses = new Map<number, Address & { readonly nodeId: number }>()
  const open = new Map<number, Promise<Node>>()
  let seed: Promise<Node> | undefined
  /** What `seed` has become. */
  let reached: Node | undefined

  async function connected(dialled: Promise<Node>): Promise<Node> {
    const node = await dialled
    if (!node.isConnected()) await node.connect()
    return node
  }

  async function dialSeed(): Promise<Node> {
    let last: unknown
    for (let tries = 0; tries < configured; tries++) {
      try {
        reached = await library.dial()
        return reached
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
        reached = undefined
        for (const id of addresses.keys()) {
          const found = await node(id).catch(() => undefined)
          if (found !== undefined) return found
        }
        throw error
      }
    },
    learn(address) {
      const known = addresses.get(address.nodeId)
      if (known !== undefined && isSame(known, address)) return
      addresses.set(address.nodeId, address)
      open.delete(address.nodeId)
      // Half of the connections, where the configured address is the one that the node tells.
      if (reached !== undefined && isSame(reached.connectionPool, address))
        open.set(address.nodeId, Promise.resolve(reached))
    },
  }
}
