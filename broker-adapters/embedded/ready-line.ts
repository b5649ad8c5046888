import { createHeap } from './heap.ts'
import type { Entry } from './hub-queue.ts'

/** What is ready, by `order`. What was withdrawn stays in it until its turn, and is then left out: look at its state. */
export interface ReadyLine {
  add(entry: Entry): void
  peek(): Entry | undefined
  take(): Entry | undefined
}

const MIN_COMPACTED = 1_000

export function createReadyLine(): ReadyLine {
  let line: (Entry | undefined)[] = []
  let head = 0
  let lastOrder = 0
  /** What comes back, or waited for its key: its place is before others that are in the line already. */
  const late = createHeap<Entry>(({ order }) => order)

  function firstInLine(): Entry | undefined {
    while (head < line.length && line[head]?.state !== 'ready') line[head++] = undefined
    return line[head]
  }
  function firstLate(): Entry | undefined {
    let entry = late.peek()
    while (entry !== undefined && entry.state !== 'ready') {
      late.take()
      entry = late.peek()
    }
    return entry
  }
  function takeFromLine(): void {
    line[head++] = undefined
    if (head <= MIN_COMPACTED || head * 2 <= line.length) return
    line = line.slice(head)
    head = 0
  }

  return {
    add(entry) {
      if (entry.order < lastOrder) return late.add(entry)
      lastOrder = entry.order
      line.push(entry)
    },
    peek() {
      const first = firstLate()
      const second = firstInLine()
      return first !== undefined && (second === undefined || first.order <= second.order) ? first : second
    },
    take() {
      const first = firstLate()
      const second = firstInLine()
      if (first !== undefined && (second === undefined || first.order <= second.order)) return late.take()
      if (second !== undefined) takeFromLine()
      return second
    },
  }
}
