import { randomUUID } from 'node:crypto'
import { BrokerError } from '../../protocol/errors.ts'
import type { QueueRef } from '../../protocol/message.ts'
import type { AdapterContext, BrokerAdapter } from '../adapter.ts'
import { createGuard } from '../call-listener.ts'
import { createLink, type Link } from '../link.ts'
import { createLinked, openOf } from '../linked.ts'
import { createStandingSet, type StandingSet } from '../standing.ts'
import { createBroadcasts, type Broadcasts } from './broadcasts.ts'
import { throughSeam } from './channels.ts'
import { declareNamespace, declareWork } from './declare.ts'
import { dial, type Session } from './dial.ts'
import { createHeldCounts, type HeldCounts } from './held-counts.ts'
import { openInbox } from './inbox.ts'
import type { Connected } from './lane.ts'
import { lettersOf } from './letters.ts'
import { createMailboxes, type Mailboxes } from './mailboxes.ts'
import type { ResolvedRabbitmqOptions } from './options.ts'
import { createPauses, type Pauses } from './pauses.ts'
import { createPublisher } from './publisher.ts'
import { createReplying, type Replying } from './replying.ts'
import { createRestore, type Restore } from './restoring.ts'
import { purgeDead, purgeDelayed, purgeReady, readStats } from './stats.ts'
import { createStoring } from './storing.ts'
import { createConsuming, type Consuming } from './consuming.ts'
import { MAX_KEEP_MS, workQueue, type WorkQueue } from './topology.ts'

/** Servers before 4.3 take a delivery back after half an hour; see docs/rabbitmq.md. */
const ACK_TIMEOUT_MS = 1_800_000

/** What there is of one session. */
interface Open extends Connected {
  readonly replying: Replying
}

/** What there is from `start` to `stop`. */
interface Running {
  readonly context: AdapterContext
  readonly link: Link<Session>
  readonly standings: StandingSet
  readonly restore: Restore
  readonly broadcasts: Broadcasts
  readonly pauses: Pauses
  readonly held: HeldCounts
  readonly mailboxes: Mailboxes
  readonly consuming: Consuming
  /** Throws BROKER_UNAVAILABLE while there is no session, CLOSED after `stop`. */
  readonly open: () => Open
  readonly guard: (what: string, run: () => void) => void
}

/** RabbitMQ: a queue is a quorum queue, a reply address a queue of its own. Topology in topology.ts and docs/rabbitmq.md. */
export function createRabbitmqAdapter(options: ResolvedRabbitmqOptions): BrokerAdapter {
  const url = options.nodes.map((node) => node.url).join(',')
  const linked = createLinked<Open, Running>({ url, stop, assemble: (context) => assemble(options, url, context) })
  const { current } = linked

  function queueOf(queue: QueueRef): WorkQueue {
    return workQueue(current().context.namespace, queue)
  }
  /** Asks the server, in errors of ours. */
  function ask<T>(work: (open: Open, running: Running) => Promise<T>): Promise<T> {
    return throughSeam(url, async () => work(current().open(), current()))
  }

  return {
    capabilities: {
      removesQueued: false,
      provesFirstDelivery: true,
      knowsGone: true,
      isPartitioned: false,
      dedupeMs: 0,
      maxKeepMs: MAX_KEEP_MS,
      ackTimeoutMs: ACK_TIMEOUT_MS,
      recoveryMs: 0,
      maxMessageBytes: options.maxMessageBytes,
      storedMeans: 'disk',
    },
    start: linked.start,
    stop: linked.stop,
    async declare(ref) {
      const { open, context } = current()
      const queue = queueOf(ref)
      await linked.declare(queue.name, () =>
        throughSeam(url, () => declareWork(open().session, context.namespace, queue, context.log)),
      )
    },
    async publish(ref, messages) {
      const queue = queueOf(ref)
      return linked.publish(messages, (storing) =>
        Promise.all(messages.map((message) => storing.store(queue, message))),
      )
    },
    async consume(ref, { prefetch }, onDelivery) {
      return current().consuming.consume({ queue: queueOf(ref), prefetch, onDelivery })
    },
    async openInbox({ leaseMs, onRecreated }, onReply) {
      const { context, open, standings, restore, guard } = current()
      const address = `${context.namespace}.reply.${context.processId}.${randomUUID().slice(0, 8)}`
      const parts = { session: () => open().session, standings, restore, guard, log: context.log }
      return openInbox(parts, { address, type: options.replyQueueType, leaseMs, onRecreated, onReply })
    },
    openMailbox: (callId, { createForMs }, onReply) => current().mailboxes.open(callId, createForMs, onReply),
    reply: linked.reply,
    park: (ref, message, why) =>
      ask(async ({ storing }) => {
        const { status, reason } = await storing.bury(queueOf(ref), message, why)
        if (status === 'stored') return
        throw new BrokerError('BROKER_UNAVAILABLE', `${url} did not store a dead letter: ${reason ?? status}`)
      }),
    broadcast: (topic, body) => current().broadcasts.send(topic, body),
    onBroadcast: (topic, listener) => current().broadcasts.listen(topic, listener),
    stats: (ref) =>
      ask(async (open, { pauses, held }) => {
        const queue = queueOf(ref)
        return readStats(open.session, queue, { isPaused: await pauses.isPaused(open, queue), held })
      }),
    setPaused: (ref, isPaused) =>
      ask(async (open, { pauses, context }) => {
        await declareWork(open.session, context.namespace, queueOf(ref), context.log)
        await pauses.set(open, queueOf(ref), isPaused)
      }),
    purge: (ref, what) =>
      ask(({ session }, { context }) => {
        const queue = queueOf(ref)
        if (what === 'ready') return purgeReady(session, queue)
        return what === 'dead' ? purgeDead(session, queue) : purgeDelayed(session, context.namespace, queue)
      }),
    deadLetters(ref) {
      return lettersOf({ queue: queueOf(ref), ask, now: current().context.now })
    },
  }
}

function assemble(options: ResolvedRabbitmqOptions, url: string, context: AdapterContext): Running {
  const { namespace, log } = context
  let open: Open | undefined
  let isReconnect = false
  const guard = createGuard(log)
  const link = createLink({
    context,
    url,
    nodes: options.nodes.length,
    dial: (node) => dial(options.nodes[node] ?? options.nodes[0], options),
    watch({ publishing }, say) {
      publishing.on('blocked', (reason) => say('blocked', reason))
      publishing.on('unblocked', () => say('up'))
    },
    async onSession(session) {
      const publisher = createPublisher(session, { maxMessageBytes: options.maxMessageBytes, log })
      const storing = createStoring(session, publisher, context)
      const replying = createReplying({ session, publisher, broadcasts, context, isReconnect })
      isReconnect = true
      open = { session, publisher, storing, replying }
      await throughSeam(url, () => declareNamespace(session, namespace, log))
      await standings.establishAll()
    },
    onEnded() {
      open = undefined
      consuming.loseAll()
    },
  })
  const openNow = (): Open => openOf(link, open, url)
  const session = (): Session => openNow().session
  const standings = createStandingSet(() => open !== undefined)
  const restore = createRestore(session, log)
  const parts = { context, session, standings, restore, guard, url }
  const broadcasts = createBroadcasts(parts)
  const pauses = createPauses(broadcasts)
  const held = createHeldCounts(broadcasts, context.processId)
  const mailboxes = createMailboxes({ ...parts, broadcasts, open: openNow })
  const consuming = createConsuming({ ...parts, open: openNow, broadcasts, pauses, held })
  return { context, link, standings, restore, broadcasts, pauses, held, mailboxes, consuming, open: openNow, guard }
}

/** What was settled reaches the server, the connections end, waiting promises end. */
async function stop(running: Running): Promise<void> {
  running.standings.stop()
  await running.link.stop()
}
