import { BrokerError, messageOf } from '../protocol/errors.ts'
import type { Message } from '../protocol/message.ts'
import type { AdapterContext, BrokerAdapter, PublishOutcome } from './adapter.ts'
import type { Link, LinkedSession } from './link.ts'
import type { StandingSet } from './standing.ts'

// What every adapter does alike that stands on one link.

/** What there is of one session, at least. */
export interface LinkedOpen {
  readonly session: LinkedSession
  readonly storing: unknown
  readonly replying: Pick<BrokerAdapter, 'reply'>
}

/** What there is from `start` to `stop`, at least. */
export interface LinkedRunning<Open extends LinkedOpen> {
  readonly link: Pick<Link<Open['session']>, 'start'>
  readonly standings: Pick<StandingSet, 'add'>
  /** Throws BROKER_UNAVAILABLE while there is no session, CLOSED after `stop`. */
  readonly open: () => Open
}

export interface Linked<Open extends LinkedOpen, Running extends LinkedRunning<Open>> extends Pick<
  BrokerAdapter,
  'start' | 'stop' | 'reply'
> {
  /** Undefined before `start`. */
  readonly running: Running | undefined
  /** Throws BROKER_UNAVAILABLE before `start`. */
  readonly current: () => Running
  /** Puts a queue in place, now and after each reconnect. True: it is the first time that somebody asks for it. */
  declare(name: string, establish: () => Promise<void>): Promise<boolean>
  /** While it is away nothing is sent. */
  publish(
    messages: readonly Message[],
    store: (storing: Open['storing']) => Promise<readonly PublishOutcome[]>,
  ): Promise<readonly PublishOutcome[]>
}

interface LinkedOptions<Running> {
  readonly url: string
  readonly assemble: (context: AdapterContext) => Running
  readonly stop: (running: Running) => Promise<void>
}

export function createLinked<Open extends LinkedOpen, Running extends LinkedRunning<Open>>({
  url,
  assemble,
  stop,
}: LinkedOptions<Running>): Linked<Open, Running> {
  let running: Running | undefined
  let started: Promise<void> | undefined
  let stopped: Promise<void> | undefined
  const declared = new Map<string, Promise<void>>()

  function current(): Running {
    if (running === undefined) throw new BrokerError('BROKER_UNAVAILABLE', `${url} is not started`)
    return running
  }

  return {
    get running() {
      return running
    },
    current,
    start(context) {
      started ??= (() => {
        running = assemble(context)
        return running.link.start()
      })()
      return started
    },
    stop() {
      stopped ??= running === undefined ? Promise.resolve() : stop(running)
      return stopped
    },
    async declare(name, establish) {
      const known = declared.get(name)
      if (known !== undefined) {
        await known
        await establish() // asked again because it is said to be missing
        return false
      }
      const ready = current().standings.add({ establish })
      declared.set(name, ready)
      ready.catch(() => declared.delete(name))
      await ready
      return true
    },
    async publish(messages, store) {
      let storing: Open['storing']
      try {
        ;({ storing } = current().open())
      } catch (error) {
        return messages.map(() => ({ status: 'notSent', reason: messageOf(error) }))
      }
      return store(storing)
    },
    async reply(address, replies) {
      try {
        return await current().open().replying.reply(address, replies)
      } catch {
        return replies.map(() => 'unknown')
      }
    },
  }
}

/** What there is of the session that is linked now. Throws BROKER_UNAVAILABLE if that is none, or not this one. */
export function openOf<Open extends Pick<LinkedOpen, 'session'>>(
  link: Pick<Link<Open['session']>, 'session'>,
  open: Open | undefined,
  url: string,
): Open {
  const session = link.session()
  if (open?.session !== session) throw new BrokerError('BROKER_UNAVAILABLE', `${url} is away`)
  return open
}
