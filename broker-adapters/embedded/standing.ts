import { BrokerError, CallError } from '../../protocol/errors.ts'

/** Something that holds over reconnects: a declared queue, a consumer, an inbox, a listener. */
export interface Standing {
  /** Puts it in place at the hub that is connected now; rejects if the connection goes meanwhile. */
  readonly establish: () => Promise<void>
}

/** All that must be put in place again after each reconnect. */
export interface StandingSet {
  /** Resolves when it is in place for the first time; rejects only at `stop`. */
  add(standing: Standing): Promise<void>
  remove(standing: Standing): void
  /** Puts everything in place; rejects if the connection goes. */
  establishAll(): Promise<void>
  stop(): void
}

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: CallError) => void
}

export function createStandingSet(isConnected: () => boolean): StandingSet {
  const all = new Map<Standing, Waiter | undefined>()
  let isStopped = false

  async function establish(standing: Standing): Promise<void> {
    await standing.establish()
    const waiter = all.get(standing)
    if (waiter === undefined) return
    all.set(standing, undefined)
    waiter.resolve()
  }

  return {
    add(standing) {
      if (isStopped) return Promise.reject(closed())
      return new Promise((resolve, reject) => {
        all.set(standing, { resolve, reject })
        // If it fails, the connection went: the next one establishes everything.
        if (isConnected()) establish(standing).catch(ignoreUnavailable)
      })
    },
    remove(standing) {
      const waiter = all.get(standing)
      all.delete(standing)
      waiter?.reject(closed())
    },
    async establishAll() {
      await Promise.all([...all.keys()].map(establish))
    },
    stop() {
      isStopped = true
      for (const waiter of all.values()) waiter?.reject(closed())
      all.clear()
    },
  }
}

function closed(): CallError {
  return new CallError('CLOSED', 'the broker was closed')
}

function ignoreUnavailable(error: unknown): void {
  if (!(error instanceof BrokerError)) throw error
}
