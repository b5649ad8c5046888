/** What has arrived, key by key, in order: only the first of a key, its head, may be handed out. */
export interface KeyChains<T> {
  readonly size: number
  /** Behind the others of its key. True: it is the head. */
  add(key: string, item: T): boolean
  isHead(key: string, item: T): boolean
  /** Gives the head that follows; undefined: it was not the head, or was the last. */
  remove(key: string, item: T): T | undefined
  heads(): Iterable<T>
}

export function createKeyChains<T>(): KeyChains<T> {
  const chains = new Map<string, T[]>()
  let size = 0
  return {
    get size() {
      return size
    },
    add(key, item) {
      size++
      const chain = chains.get(key)
      if (chain === undefined) chains.set(key, [item])
      else chain.push(item)
      return chain === undefined
    },
    isHead: (key, item) => chains.get(key)?.[0] === item,
    remove(key, item) {
      const chain = chains.get(key) ?? []
      const at = chain.indexOf(item)
      if (at < 0) return undefined
      size--
      chain.splice(at, 1)
      if (chain.length === 0) chains.delete(key)
      return at === 0 ? chain[0] : undefined
    },
    *heads() {
      for (const [head] of chains.values()) if (head !== undefined) yield head
    },
  }
}
