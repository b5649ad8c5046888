/** Items by their rank, the lowest first; the rank of one that is in it does not change. */
export interface Heap<Item> {
  add(item: Item): void
  peek(): Item | undefined
  take(): Item | undefined
}

export function createHeap<Item>(rankOf: (item: Item) => number): Heap<Item> {
  const heap: Item[] = []

  function swap(a: number, b: number): void {
    const [first, second] = [heap[a], heap[b]]
    if (first === undefined || second === undefined) return
    heap[a] = second
    heap[b] = first
  }
  function rankAt(index: number): number {
    const item = heap[index]
    return item === undefined ? Infinity : rankOf(item)
  }
  function sink(from: number): void {
    for (let at = from; ;) {
      const child = rankAt(2 * at + 1) <= rankAt(2 * at + 2) ? 2 * at + 1 : 2 * at + 2
      if (rankAt(child) >= rankAt(at)) return
      swap(at, child)
      at = child
    }
  }

  return {
    add(item) {
      heap.push(item)
      for (let at = heap.length - 1; at > 0 && rankAt((at - 1) >> 1) > rankAt(at); at = (at - 1) >> 1)
        swap(at, (at - 1) >> 1)
    },
    peek: () => heap[0],
    take() {
      const first = heap[0]
      if (first === undefined) return undefined
      swap(0, heap.length - 1)
      heap.pop()
      sink(0)
      return first
    },
  }
}
