import type { QueueRef } from '../../protocol/message.ts'
import type { AdapterContext, BrokerAdapter, Capabilities } from '../adapter.ts'
import { createGuard } from '../call-listener.ts'
import { createLink, type Link } from '../link.ts'
import { createLinked, openOf } from '../linked.ts'
import { createStandingSet, type StandingSet } from '../standing.ts'
import { within } from '../within.ts'
import { assertReadable, assertWritable } from './access.ts'
import { createBroadcasts, type Broadcasts } from './broadcasts.ts'
import { createConsumer, type OwnSubscription } from './consumer.ts'
import { dial, type Session } from './dial.ts'
import { throughSeam } from './failures.ts'
import { purgeDelayed } from './delay-purges.ts'
import { startForwarder, type Forwarder } from './forwarder.ts'
import { openInbox } from './inbox.ts'
import { letterRecord } from './letter-records.ts'
import { lettersOf } from './letters.ts'
import { createMailboxes, type Mailboxes } from './mailboxes.ts'
import { protocolError } from './places.ts'
import type { ResolvedKafkaOptions } from './options.ts'
import { createReplying, type Replying } from './replying.ts'
import { createSignals, type Signals } from './signals.ts'
import { createSettling, type Settling } from './settling.ts'
import { isPausedForAll, purgeReady, readStats } from './stats.ts'
import { createStoring, type Storing } from './storing.ts'
import { createTopics, ensureTopics, warnOfSettings, workQueue, type Topics, type WorkQueue } from './topics.ts'

/** What there is of one session. */
interface Open {
  readonly session: Session
  readonly storing: Storing
  readonly replying: Replying
}

/** What there is from `start` to `stop`. */
interface Running {
  readonly context: AdapterContext
  readonly topics: Topics
  readonly link: Link<Session>
  readonly standings: StandingSet
  readonly broadcasts: Broadcasts
  readonly mailboxes: Mailboxes
  readonly settling: Settling
  readonly consumers: Set<OwnSubscription>
  readonly signals: Signals
  /** Throws BROKER_UNAVAILABLE while there is no session, CLOSED after `stop`. */
  readonly open: () => Open
  readonly guard: (what: string, run: () => void) => void
  readonly forward: () => void
  readonly lookForDelayPurge: () => void
  endForwarder(): Promise<void>
}

/** To all who consume something of a namespace: somebody has delayed a message, or does not want those of a queue any more. */
const DELAYED = '~delayed'
const DELAY_PURGE = '~delay-purge'
const STOP_MS = 1_000

const NOTHING = Buffer.alloc(0)

/** Kafka: a queue is a topic, an inbox a place in a partition. Topics in topics.ts and docs/kafka.md. */
export function createKafkaAdapter(options: ResolvedKafkaOptions): BrokerAdapter {
  const { url } = options
  const linked = createLinked<Open, Running>({ url, stop, assemble: (context) => assemble(options, context) })
  let inboxes = 0
  const { current } = linked

  function queueOf(queue: QueueRef): WorkQueue {
    return workQueue(current().context.namespace, queue)
  }
  /** Asks the server, in errors of ours. */
  function ask<T>(work: (open: Open) => Promise<T>): Promise<T> {
    return throughSeam(url, async () => work(current().open()))
  }
  return {
    get capabilities(): Capabilities {
      return {
        removesQueued: false,
        provesFirstDelivery: false,
        knowsGone: false,
        isPartitioned: true,
        dedupeMs: 0,
        maxKeepMs: options.maxKeepMs,
        ackTimeoutMs: undefined,
        recoveryMs: options.sessionMs,
        maxMessageBytes: options.maxMessageBytes,
        storedMeans: 'page cache',
      }
    },
    start: linked.start,
    stop: linked.stop,
    async declare(ref) {
      const { topics, open, context } = current()
      const queue = queueOf(ref)
      const isFirst = await linked.declare(queue.name, () =>
        throughSeam(url, async () => void (await ensureTopics(open().session.main, topics.work(queue)))),
      )
      if (isFirst) for (const topic of topics.work(queue)) void warnOfSettings(open().session.main, topic, context.log)
    },
    async publish(ref, messages) {
      const queue = queueOf(ref)
      return linked.publish(messages, (storing) => storing.storeAll(queue, messages))
    },
    async consume(ref, { prefetch }, onDelivery) {
      const { context, standings, settling, consumers, broadcasts, signals, open, topics } = current()
      const { forward, lookForDelayPurge } = current()
      const queue = queueOf(ref)
      const leaves: (() => void)[] = []
      const consumer = createConsumer({
        queue,
        prefetch,
        sessionMs: options.sessionMs,
        url,
        context,
        onDelivery,
        session: () => open().session,
        settling,
        isPausedForAll: () => isPausedForAll(open().session, queue),
        makeTopics: async () => void (await ensureTopics(open().session.main, topics.work(queue))),
        onChange: () => signals.tell('members', queue),
        onStopped: () => standings.remove(standing),
        onDone() {
          consumers.delete(consumer)
          for (const leave of leaves) leave()
        },
      })
      const standing = {
        establish: () =>
          throughSeam(url, async () => {
            const { main, producer } = open().session
            await ensureTopics(main, topics.work(queue))
            await assertReadable(main, { topic: queue.name, partition: 0 })
            await assertWritable(producer, { topic: topics.control.topic, partition: 0 })
            await consumer.establish()
          }),
      }
      consumers.add(consumer)
      leaves.push(
        await signals.listen(queue, {
          members: () => consumer.nudge(),
          pause: () => consumer.lookForPause(),
          purge: () => consumer.lookForPurge(),
          count: () => consumer.flush(),
        }),
        await broadcasts.listen(DELAYED, forward),
        await broadcasts.listen(DELAY_PURGE, lookForDelayPurge),
      )
      forward()
      await standings.add(standing)
      return consumer
    },
    openInbox({ onRecreated }, onReply) {
      const { context, topics, open, standings, guard } = current()
      const parts = { session: () => open().session, topics, standings, guard, log: context.log, url }
      return openInbox(parts, { id: `${context.processId}.${++inboxes}`, onRecreated, onReply })
    },
    openMailbox: (callId, { createForMs }, onReply) => current().mailboxes.open(callId, createForMs, onReply),
    reply: linked.reply,
    park: (ref, message, why) =>
      ask(async ({ session }) => {
        const queue = queueOf(ref)
        const { context, topics } = current()
        await ensureTopics(session.main, [topics.dead(queue)])
        const record = letterRecord(message, { ...why, at: context.now() })
        const appended = await session.producer.append({ topic: queue.dead, partition: 0 }, record)
        if (appended.status !== 'stored') throw protocolError(appended.error, `writing to ${queue.dead}`)
      }),
    broadcast: (topic, body) => current().broadcasts.send(topic, body),
    onBroadcast: (topic, listener) => current().broadcasts.listen(topic, listener),
    async stats(ref) {
      const queue = queueOf(ref)
      await current().signals.ask('count', queue)
      return ask(({ session }) => readStats(session, queue))
    },
    setPaused: (ref, isPaused) =>
      ask(async ({ session }) => {
        const queue = queueOf(ref)
        const { topics, signals } = current()
        if (isPaused) await ensureTopics(session.main, [topics.paused(queue)])
        else if (await isPausedForAll(session, queue)) await session.main.deleteTopic(queue.paused)
        await signals.ask('pause', queue)
      }),
    async purge(ref, what) {
      const queue = queueOf(ref)
      if (what === 'dead') return lettersFor(ref).purge({})
      const { topics, broadcasts, signals } = current()
      if (what === 'delayed') {
        const delayed = await ask(({ session }) => purgeDelayed(session, topics, queue))
        broadcasts.send(DELAY_PURGE, NOTHING)
        return delayed
      }
      await signals.ask('count', queue)
      const count = await ask(({ session }) => purgeReady(session, queue))
      await signals.ask('purge', queue)
      return count
    },
    deadLetters: lettersFor,
  }

  function lettersFor(ref: QueueRef): ReturnType<BrokerAdapter['deadLetters']> {
    const { topics, context } = current()
    return lettersOf({ queue: queueOf(ref), topics, ask, now: context.now })
  }
}

function assemble(options: ResolvedKafkaOptions, context: AdapterContext): Running {
  const { url, maxMessageBytes, maxKeepMs, sessionMs, retentionMs } = options
  const topics = createTopics(context.namespace, options)
  const consumers = new Set<OwnSubscription>()
  let open: Open | undefined
  let forwarder: { readonly session: Session; readonly running: Promise<Forwarder | undefined> } | undefined
  const guard = createGuard(context.log)
  const link = createLink<Session>({
    context,
    url,
    nodes: options.nodes.length,
    // One that takes connections and says nothing is first only once.
    dial: (node) => dial({ ...options, nodes: [...options.nodes.slice(node), ...options.nodes.slice(0, node)] }),
    watch() {},
    async onSession(session) {
      const onDelayed = (): void => {
        forward()
        broadcasts.send(DELAYED, NOTHING)
      }
      const storing = createStoring({ session, topics, maxMessageBytes, retentionMs, context, onDelayed })
      const replying = createReplying({ session, topics, context, maxMessageBytes, maxKeepMs })
      open = { session, storing, replying }
      await standings.establishAll()
      forward()
    },
    onEnded() {
      open = undefined
      for (const consumer of consumers) consumer.loseAll()
    },
  })
  const openNow = (): Open => openOf(link, open, url)
  const session = (): Session => openNow().session
  const standings = createStandingSet(() => open !== undefined)
  const parts = { context, topics, session, standings, guard, url }
  const broadcasts = createBroadcasts(parts)
  const mailboxes = createMailboxes(parts)
  const settling = createSettling({ open: openNow, topics, isStopped: () => link.isStopped, context })
  const signals = createSignals({ broadcasts, session })

  /** Whoever consumes sees to the delays of all, once there are any. */
  function forward(): void {
    const now = open?.session
    if (now === undefined || consumers.size === 0 || forwarder?.session === now) return
    const starting = (async () => {
      const facts = await now.main.topic(topics.delay.topic).catch(() => undefined)
      if (facts !== undefined && now.isOpen) return startForwarder({ session: now, topics, sessionMs, context })
      if (forwarder?.session === now) forwarder = undefined
      return undefined
    })()
    forwarder = { session: now, running: starting }
  }

  return {
    context,
    topics,
    link,
    standings,
    broadcasts,
    mailboxes,
    settling,
    consumers,
    signals,
    open: openNow,
    guard,
    forward,
    lookForDelayPurge: () => void forwarder?.running.then((one) => one?.lookForPurge()),
    endForwarder: async () => (await forwarder?.running)?.end(),
  }
}

/** What is held goes back at once, what was settled reaches the server, the connections end, waiting promises end. */
async function stop(running: Running): Promise<void> {
  const { standings, consumers, broadcasts, mailboxes, link } = running
  standings.stop()
  try {
    running.open()
    await Promise.all([...consumers].map((consumer) => consumer.giveBack()))
    await running.endForwarder()
  } catch {
    // Away: what is held goes to others when its session ends.
  }
  await within(broadcasts.drain(), STOP_MS, () => new Error('late')).catch(() => {}) // best effort
  broadcasts.end()
  mailboxes.end()
  await link.stop()
}
