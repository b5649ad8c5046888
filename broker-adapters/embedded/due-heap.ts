import type { Entry } from './hub-queue.ts'

/** Delayed messages by the time they are due. What was removed meanwhile comes out too: look at its state. */
export interface DueHeap {
  add(entry: Entry): void
  /** When the next one is due; undefined: none. */
  next(): number | undefined
  /** The next one, if it is due. */
  take(now: number): Entry | undefined
}

export function createDueHeap(): DueHeap {
  const heap: Entry[] = []

  function swap(a: number, b: number): void {
    const [first, second] = [heap[a], heap[b]]
    if (first === undefined || second === undefined) return
    heap[a] = second
    heap[b] = first
  }
  function dueAt(index: number): number {
    return heap[index]?.dueAt ?? Infinity
  }
  function sink(from: number): void {
    for (let at = from; ;) {
      const child = dueAt(2 * at + 1) <= dueAt(2 * at + 2) ? 2 * at + 1 : 2 * at + 2
      if (dueAt(child) >= dueAt(at)) return
      swap(at, child)
      at = child
    }
  }

  return {
    add(entry) {
      heap.push(entry)
      for (let at = heap.length - 1; at > 0 && dueAt((at - 1) >> 1) > dueAt(at); at = (at - 1) >> 1)
        swap(at, (at - 1) >> 1)
    },
    next: () => heap[0]?.dueAt,
    take(now) {
      const first = heap[0]
      if (first === undefined || first.dueAt > now) return undefined
      swap(0, heap.length - 1)
      heap.pop()
      sink(0)
      return first
    },
  }
}
