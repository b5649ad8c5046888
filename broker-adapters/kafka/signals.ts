import { randomUUID } from 'node:crypto'
import type { Broadcasts } from './broadcasts.ts'
import type { Session } from './dial.ts'
import type { WorkQueue } from './topics.ts'

// What the adapters of a namespace tell each other, by broadcasts of which the core knows nothing: none of its topics begins with '~'.

/**
 * `members`: somebody comes or goes. `pause`: the queue is paused or goes on. `purge`: what waited is gone. `count`: what is settled is to be
 * said to the server, as somebody counts.
 */
type Kind = 'members' | 'pause' | 'purge' | 'count'

/** What a consumer does when it hears of it. */
export type SignalHandlers = Readonly<Record<Kind, () => Promise<void> | void>>

export interface Signals {
  tell(kind: Kind, queue: WorkQueue): void
  /** Resolves when all who consume the queue have done it, at the latest after a moment; never rejects. */
  ask(kind: Kind, queue: WorkQueue): Promise<void>
  /** Gives what ends it. */
  listen(queue: WorkQueue, handlers: SignalHandlers): Promise<() => void>
}

interface SignalParts {
  readonly broadcasts: Broadcasts
  readonly session: () => Session
}

const DONE = '~done'
/** One that is frozen, or has gone without a word, is not waited for longer. */
const ANSWER_MS = 1_000

export function createSignals({ broadcasts, session }: SignalParts): Signals {
  const asked = new Map<string, () => void>()
  let hearing: Promise<unknown> | undefined

  const topicOf = (kind: Kind, { name }: WorkQueue): string => `~${kind}.${name}`

  async function ask(kind: Kind, queue: WorkQueue): Promise<void> {
    hearing ??= broadcasts.listen(DONE, (body) => asked.get(body.toString('utf8'))?.())
    hearing.catch(() => (hearing = undefined))
    const token = randomUUID()
    let timer: NodeJS.Timeout | undefined
    try {
      const [members] = await Promise.all([session().main.members(queue.name), hearing])
      if (members === 0) return
      let missing = members
      await new Promise<void>((resolve) => {
        timer = setTimeout(resolve, ANSWER_MS)
        asked.set(token, () => --missing === 0 && resolve())
        broadcasts.send(topicOf(kind, queue), Buffer.from(token))
      })
    } catch {
      // Away: whoever asked is told so by what it does next.
    } finally {
      clearTimeout(timer)
      asked.delete(token)
    }
  }

  return {
    tell: (kind, queue) => broadcasts.send(topicOf(kind, queue), Buffer.alloc(0)),
    ask,
    async listen(queue, handlers) {
      const on = (kind: Kind): Promise<() => void> =>
        broadcasts.listen(topicOf(kind, queue), (token) => {
          const done = (): void => {
            if (token.length > 0) broadcasts.send(DONE, token)
          }
          Promise.resolve(handlers[kind]()).then(done, done)
        })
      const leaves = await Promise.all([on('members'), on('pause'), on('purge'), on('count')])
      return () => {
        for (const leave of leaves) leave()
      }
    },
  }
}
