import { randomUUID } from 'node:crypto'
import type { QueueRef } from '../../protocol/message.ts'
import type { AdapterContext, BrokerAdapter } from '../adapter.ts'
import { createGuard } from '../call-listener.ts'
import { createLink, type Link } from '../link.ts'
import { createLinked, openOf } from '../linked.ts'
import { createStandingSet, type StandingSet } from '../standing.ts'
import { createConsumer, type OwnSubscription } from './consumer.ts'
import { dial, inTime, type Session } from './dial.ts'
import { throughSeam } from './failures.ts'
import { openInbox } from './inbox.ts'
import { workQueue, type WorkQueue } from './keys.ts'
import { lettersOf } from './letters.ts'
import { createMailboxes, MAX_KEEP_MS, type Mailboxes } from './mailboxes.ts'
import { watchMemory, type MemoryWatch } from './memory-watch.ts'
import type { ResolvedRedisOptions } from './options.ts'
import { createReplying, type Replying } from './replying.ts'
import { checkRights } from './rights.ts'
import { checkServer, storedMeans, type ServerFacts } from './server.ts'
import { createSettling, type Settling } from './settling.ts'
import { purge, readStats } from './stats.ts'
import { createStoring, declareQueue, DEDUPE_MS, type Storing } from './storing.ts'
import { createBroadcasts, type Broadcasts } from './subscriber.ts'

/** What there is of one session. */
interface Open {
  readonly session: Session
  readonly storing: Storing
  readonly replying: Replying
}

/** What there is from `start` to `stop`. */
interface Running {
  readonly context: AdapterContext
  readonly link: Link<Session>
  readonly standings: StandingSet
  readonly broadcasts: Broadcasts
  readonly mailboxes: Mailboxes
  readonly settling: Settling
  readonly consumers: Set<OwnSubscription>
  /** Throws BROKER_UNAVAILABLE while there is no session, CLOSED after `stop`. */
  readonly open: () => Open
  readonly guard: (what: string, run: () => void) => void
  /** Of the server that was connected last. */
  facts(): ServerFacts | undefined
}

/** Redis: a queue is one of BullMQ, an inbox a stream. Keys in keys.ts and docs/redis.md. */
export function createRedisAdapter(options: ResolvedRedisOptions): BrokerAdapter {
  const url = options.nodes.map(({ shown }) => shown).join(',')
  const linked = createLinked<Open, Running>({ url, stop, assemble: (context) => assemble(options, url, context) })
  const { current } = linked

  function queueOf(queue: QueueRef): WorkQueue {
    return workQueue(current().context.namespace, queue)
  }
  /** Asks the server, in errors of ours. */
  function ask<T>(work: (open: Open) => Promise<T>): Promise<T> {
    return throughSeam(url, async () => work(current().open()))
  }

  return {
    get capabilities() {
      return {
        removesQueued: true,
        provesFirstDelivery: true,
        knowsGone: true,
        isPartitioned: false,
        dedupeMs: DEDUPE_MS,
        maxKeepMs: MAX_KEEP_MS,
        ackTimeoutMs: undefined,
        recoveryMs: options.lockMs + 2 * options.stalledCheckMs,
        maxMessageBytes: options.maxMessageBytes,
        storedMeans: storedMeans(linked.running?.facts()),
      }
    },
    start: linked.start,
    stop: linked.stop,
    async declare(ref) {
      const { open } = current()
      const queue = queueOf(ref)
      await linked.declare(queue.name, () => throughSeam(url, () => declareQueue(open().session, queue)))
    },
    async publish(ref, messages) {
      const queue = queueOf(ref)
      return linked.publish(messages, (storing) =>
        Promise.all(messages.map((message) => storing.store(queue, message))),
      )
    },
    async consume(ref, { prefetch }, onDelivery) {
      const { context, standings, settling, consumers, open } = current()
      const consumer = createConsumer({
        queue: queueOf(ref),
        prefetch,
        lockMs: options.lockMs,
        stalledCheckMs: options.stalledCheckMs,
        context,
        onDelivery,
        session: () => open().session,
        settling,
        onStopped: () => standings.remove(standing),
        onDone: () => consumers.delete(consumer),
      })
      const standing = { establish: () => throughSeam(url, () => consumer.establish()) }
      consumers.add(consumer)
      await standings.add(standing)
      return consumer
    },
    async openInbox({ leaseMs, onRecreated }, onReply) {
      const { context, open, standings, guard } = current()
      const address = `${context.namespace}.reply.${context.processId}.${randomUUID().slice(0, 8)}`
      const parts = { session: () => open().session, standings, guard, log: context.log, url }
      return openInbox(parts, { address, leaseMs, onRecreated, onReply })
    },
    openMailbox: (callId, { createForMs }, onReply) => current().mailboxes.open(callId, createForMs, onReply),
    reply: linked.reply,
    remove: (ref, id) =>
      ask(async ({ session }) => (await session.scripts.run('remove', queueOf(ref).key(''), id)) === 1),
    park: (ref, message, why) => ask(({ storing }) => storing.bury(queueOf(ref), message, why)),
    broadcast: (topic, body) => current().broadcasts.send(topic, body),
    onBroadcast: (topic, listener) => current().broadcasts.listen(topic, { onMessage: listener }),
    stats: (ref) => ask(({ session }) => readStats(session, queueOf(ref), current().context.now())),
    setPaused: (ref, isPaused) =>
      ask(async ({ session }) => {
        const { backend } = await session.bull(queueOf(ref))
        await backend.pause(isPaused)
      }),
    purge: (ref, what) => ask(({ session }) => purge(session, queueOf(ref), what)),
    deadLetters(ref) {
      const askSession = <T>(work: (session: Session) => Promise<T>): Promise<T> => ask(({ session }) => work(session))
      return lettersOf({ queue: queueOf(ref), ask: askSession, now: current().context.now })
    },
  }
}

function assemble(options: ResolvedRedisOptions, url: string, context: AdapterContext): Running {
  let open: Open | undefined
  let facts: ServerFacts | undefined
  let memory: MemoryWatch | undefined
  const guard = createGuard(context.log)
  const link = createLink<Session>({
    context,
    url,
    nodes: options.nodes.length,
    async dial(index) {
      const node = options.nodes[index] ?? options.nodes[0]
      const session = await dial(node, options)
      try {
        const look = async (): Promise<ServerFacts> => {
          const found = await checkServer(session, node, { hasOthers: options.nodes.length > 1, log: context.log })
          await checkRights(session, context.namespace, node.shown)
          return found
        }
        facts = await throughSeam(node.shown, () => inTime(look(), node, options))
        return session
      } catch (error) {
        await session.end()
        throw error
      }
    },
    watch(session, say) {
      memory = watchMemory(session, context.namespace, say)
    },
    async onSession(session) {
      const onOutOfMemory = (): void => memory?.note()
      const { maxMessageBytes } = options
      const storing = createStoring({ session, maxMessageBytes, now: context.now, onOutOfMemory })
      const replying = createReplying({ session, broadcasts, context, maxMessageBytes, onOutOfMemory })
      open = { session, storing, replying }
      await standings.establishAll()
    },
    onEnded() {
      open = undefined
    },
  })
  const openNow = (): Open => openOf(link, open, url)
  const session = (): Session => openNow().session
  const standings = createStandingSet(() => open !== undefined)
  const parts = { context, session, standings, guard, url }
  const broadcasts = createBroadcasts(parts)
  const mailboxes = createMailboxes({ ...parts, broadcasts })
  const settling = createSettling({ session, isStopped: () => link.isStopped, context })
  const consumers = new Set<OwnSubscription>()
  return {
    context,
    link,
    standings,
    broadcasts,
    mailboxes,
    settling,
    consumers,
    open: openNow,
    guard,
    facts: () => facts,
  }
}

/** What is held goes back at once, what was settled reaches the server, the connections end, waiting promises end. */
async function stop(running: Running): Promise<void> {
  const { standings, consumers, link } = running
  standings.stop()
  try {
    running.open()
    await Promise.all([...consumers].map((consumer) => consumer.giveBack()))
  } catch {
    // Away: what is held goes to others when its lock runs out.
  }
  await link.stop()
}
