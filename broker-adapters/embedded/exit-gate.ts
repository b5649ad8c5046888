/*
 * lmdb deadlocks or aborts a process that exits while one of its threads is in a transaction. So the thread says when it
 * is in one, and the process's exit waits for it, at most 2 s, and lets no further one begin.
 */
const STOP = 0
const BUSY = 1
const WAIT_MS = 2_000

/** The thread's side. */
export interface ExitGate {
  /** False: the process is exiting, begin nothing. Else call `leave` when the transaction is over. */
  enter(): boolean
  leave(): void
}

export function createExitGate(shared: SharedArrayBuffer): ExitGate {
  const words = new Int32Array(shared)
  let inside = 0
  const leave = (): void => {
    inside--
    if (inside > 0) return
    Atomics.store(words, BUSY, 0)
    Atomics.notify(words, BUSY)
  }
  return {
    enter() {
      inside++
      // Busy before looking, as the other side stops before looking: one of the two sees the other.
      Atomics.store(words, BUSY, 1)
      if (Atomics.load(words, STOP) === 0) return true
      leave()
      return false
    },
    leave,
  }
}

interface Guarded {
  readonly shared: SharedArrayBuffer
  readonly onClosed: () => void
}

const guarded = new Set<Guarded>()

/**
 * The process's side: at exit no transaction begins any more and the open one is waited for; then `onClosed` runs.
 * Returns the gate's memory, and how to let go of it.
 */
export function guardExit(onClosed: () => void): { readonly shared: SharedArrayBuffer; readonly release: () => void } {
  const entry: Guarded = { shared: new SharedArrayBuffer(8), onClosed }
  // One listener for all, however many brokers a process opens.
  if (guarded.size === 0) process.on('exit', closeAll)
  guarded.add(entry)
  return {
    shared: entry.shared,
    release() {
      if (guarded.delete(entry) && guarded.size === 0) process.off('exit', closeAll)
    },
  }
}

function closeAll(): void {
  const until = Date.now() + WAIT_MS
  for (const { shared } of guarded) Atomics.store(new Int32Array(shared), STOP, 1)
  for (const { shared, onClosed } of guarded) {
    const words = new Int32Array(shared)
    while (Atomics.load(words, BUSY) === 1 && Date.now() < until) Atomics.wait(words, BUSY, 1, until - Date.now())
    if (Atomics.load(words, BUSY) === 0) onClosed()
  }
}
