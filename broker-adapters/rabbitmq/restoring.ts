import { messageOf } from '../../protocol/errors.ts'
import type { AdapterContext } from '../adapter.ts'
import type { Standing } from '../standing.ts'
import type { Session } from './dial.ts'

/** Puts in place again what the server took away while the session goes on, such as a consumer whose queue was deleted. */
export type Restore = (what: string, standing: Standing, why: string, code?: RestoreCode) => void

/** What is said of one says nothing of the other: a log has one line of a code and minute. */
type RestoreCode = 'RABBITMQ_RESTORED' | 'RABBITMQ_TOPIC_RESTORED'

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 5_000

/** @param session throws while there is none: the next one puts everything in place. */
export function createRestore(session: () => Session, log: AdapterContext['log']): Restore {
  return (what, standing, why, code = 'RABBITMQ_RESTORED') => {
    if (sessionNow().length === 0) return
    log('warn', code, `${what} is put in place again: ${why}`)
    void restore(what, standing)
  }

  async function restore(what: string, standing: Standing): Promise<void> {
    const [begun] = sessionNow()
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs).unref())
      if (begun === undefined || sessionNow()[0] !== begun) return
      try {
        return await standing.establish()
      } catch (error) {
        log('warn', 'RABBITMQ_RESTORED', `${what} is not in place yet: ${messageOf(error)}`)
      }
    }
  }

  function sessionNow(): readonly [Session?] {
    try {
      return [session()]
    } catch {
      return []
    }
  }
}
