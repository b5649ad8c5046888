import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Kafka, logLevel, type Admin } from 'kafkajs'
import {
  createCluster,
  killCluster,
  removeCluster,
  startCluster,
  stopCluster,
  type ClusterOptions,
} from '../../scripts/brokers/kafka-cluster.ts'
import { killNode, startNode, stopNode, type NodeFacts } from '../../scripts/brokers/kafka-node.ts'

/** Nodes, users, rights, TLS, and lines of server.properties. */
export type KafkaOptions = Omit<ClusterOptions, 'dir' | 'isBrief'>

/** One process of a server. */
export interface KafkaNode {
  /** As `node.id`, and as clients see it: counted from 1. */
  readonly id: number
  readonly port: number
  readonly url: string
  /** As an operator does; its data stays. */
  stop(): Promise<void>
  /** Again, on its port and with its data. It is one of several only when most of them run. */
  start(): Promise<void>
  /** `kill -9`. */
  kill(): Promise<void>
}

/** A server of a test's own, which it may stop, kill and configure: its own `stop`, `start` and `kill` are about all nodes. */
export interface OwnKafka {
  /** Of all nodes. */
  readonly url: string
  /** Of the first node. */
  readonly port: number
  stop(): Promise<void>
  start(): Promise<void>
  kill(): Promise<void>
  /** Ends it and removes its data. */
  end(): Promise<void>
  /** By its id. */
  node(id: number): KafkaNode
  /** The library's own, connected with all rights whatever the server asks of others, until `use` has ended. */
  admin<T>(use: (admin: Admin) => Promise<T>): Promise<T>
}

export async function startKafka(options: KafkaOptions = {}): Promise<OwnKafka> {
  const dir = mkdtempSync(join(tmpdir(), 'replyto-kafka-'))
  const facts = await createCluster({ ...options, dir, isBrief: true })
  const nodes = facts.nodes.map(toNode)
  return {
    url: facts.url,
    port: nodeOf(nodes, 1).port,
    stop: () => stopCluster(facts),
    start: () => startCluster(facts),
    kill: () => killCluster(facts),
    end: () => removeCluster(facts),
    node: (id) => nodeOf(nodes, id),
    admin: (use) =>
      withAdmin(
        facts.nodes.map(({ innerPort }) => `127.0.0.1:${innerPort}`),
        use,
      ),
  }
}

/** The library's own, of a server without logins: `kafka://<host>:<port>,<host>:<port>`. */
export function adminOf<T>(url: string, use: (admin: Admin) => Promise<T>): Promise<T> {
  return withAdmin(url.replace(/^kafka:\/\//, '').split(','), use)
}

async function withAdmin<T>(brokers: readonly string[], use: (admin: Admin) => Promise<T>): Promise<T> {
  const kafka = new Kafka({ clientId: 'test', brokers: [...brokers], logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

function toNode(facts: NodeFacts): KafkaNode {
  return {
    id: facts.id,
    port: facts.port,
    url: `kafka://127.0.0.1:${facts.port}`,
    stop: () => stopNode(facts),
    start: () => startNode(facts),
    kill: () => killNode(facts),
  }
}

function nodeOf(nodes: readonly KafkaNode[], id: number): KafkaNode {
  const node = nodes.find((node) => node.id === id)
  if (node === undefined) throw new Error(`there is no node ${id} of ${nodes.length}`)
  return node
}
