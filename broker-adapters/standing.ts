import { BrokerError, CallError } from '../protocol/errors.ts'

/** Something that holds over reconnects: a declared queue, a consumer, an inbox, a listener. */
export interface Standing {
  /**
   * Puts it in place at the broker that is connected now. Rejects with BROKER_UNAVAILABLE if the connection goes meanwhile,
   * with BROKER_REFUSED if that cannot be mended.
   */
  readonly establish: () => Promise<void>
}

/** All that must be put in place again after each reconnect. */
export interface StandingSet {
  /** Resolves when it is in place for the first time; rejects only with BROKER_REFUSED or at `stop`. */
  add(standing: Standing): Promise<void>
  remove(standing: Standing): void
  /** Puts everything in place; rejects if the connection goes. */
  establishAll(): Promise<void>
  stop(): void
}

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: CallError | BrokerError) => void
}

export function createStandingSet(isConnected: () => boolean): StandingSet {
  const all = new Map<Standing, Waiter | undefined>()
  let isStopped = false

  async function establish(standing: Standing): Promise<void> {
    try {
      await standing.establish()
    } catch (error) {
      if (isRefusal(error) && refuse(standing, error)) return
      throw error
    }
    const waiter = all.get(standing)
    if (waiter === undefined) return
    all.set(standing, undefined)
    waiter.resolve()
  }

  /** Whoever waits for it gets the reason. False: nobody does, it was in place before. */
  function refuse(standing: Standing, error: BrokerError): boolean {
    const waiter = all.get(standing)
    if (waiter === undefined) return false
    all.delete(standing)
    waiter.reject(error)
    return true
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

function isRefusal(error: unknown): error is BrokerError {
  return error instanceof BrokerError && error.code === 'BROKER_REFUSED'
}

function ignoreUnavailable(error: unknown): void {
  if (!(error instanceof BrokerError)) throw error
}
