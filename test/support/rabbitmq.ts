import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createNode,
  ctl,
  killNode,
  removeNode,
  startNode,
  stopNode,
  type NodeFacts,
} from '../../scripts/brokers/rabbitmq-node.ts'

/** A server of a test's own, which it may stop, kill and configure. */
export interface OwnRabbitmq {
  readonly url: string
  readonly port: number
  /** `rabbitmqctl`, about this server. About a second each. */
  ctl(...args: readonly string[]): Promise<string>
  /** As an operator does; its data stays. */
  stop(): Promise<void>
  start(): Promise<void>
  /**
   * `kill -9` of the server itself. Before it, what it knows of the quorum queues that there are is written: RabbitMQ 3.10 does
   * so half a second late, and a queue that was made just before a crash has no leader ever after (docs/rabbitmq.md).
   */
  kill(): Promise<void>
  /** Ends it and removes its data. */
  end(): Promise<void>
}

export async function startRabbitmq(
  options: { readonly config?: string; readonly advancedConfig?: string } = {},
): Promise<OwnRabbitmq> {
  const parent = mkdtempSync(join(tmpdir(), 'replyto-rabbitmq-'))
  const dir = join(parent, randomBytes(3).toString('hex'))
  const facts: NodeFacts = await createNode({ dir, ...options })
  return {
    url: facts.url,
    port: facts.port,
    ctl: (...args) => ctl(facts, ...args),
    stop: () => stopNode(facts),
    start: () => startNode(facts),
    async kill() {
      await ctl(facts, 'eval', 'dets:sync(ra_directory_reverse).')
      await killNode(facts)
    },
    async end() {
      await removeNode(facts)
      await rm(parent, { recursive: true, force: true })
    },
  }
}
