import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Who may log in at the clients' listener, by PLAIN and by both SCRAMs: name and password, without quotes, commas and brackets. */
export type Users = Readonly<Record<string, string>>

/** The clients' listener speaks TLS. Files in PEM. */
export interface Tls {
  readonly ca: string
  readonly cert: string
  readonly key: string
  /** Only clients with a certificate of `ca` are let in. @default false */
  readonly isMutual?: boolean | undefined
}

/** What the nodes of one server have in common. */
export interface ClusterConfig {
  readonly users?: Users | undefined
  readonly tls?: Tls | undefined
  /** Users have the rights that they were given, and none otherwise. @default false */
  readonly hasAcls?: boolean | undefined
  /** Lines of server.properties below our own, which they may change. */
  readonly config?: string | undefined
}

export interface NodePorts {
  readonly id: number
  /** Where clients come in. */
  readonly port: number
  /** For the nodes and for us: no login, no TLS, all rights. */
  readonly innerPort: number
  readonly controllerPort: number
}

export const SCRAMS = ['SCRAM-SHA-256', 'SCRAM-SHA-512']

/** Writes `server.properties` of one node into its directory. https://kafka.apache.org/39/documentation.html#brokerconfigs */
export function writeConfig(
  dir: string,
  {
    node,
    nodes,
    options,
  }: { readonly node: NodePorts; readonly nodes: readonly NodePorts[]; readonly options: ClusterConfig },
): void {
  const all = {
    ...placeOf(dir, node, nodes),
    ...listenerOf(dir, options),
    ...(options.hasAcls === true ? ACLS : {}),
    ...SMALL,
    ...copiesOn(nodes.length),
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}=${value}\n`)
  // The last line of a name wins.
  writeFileSync(configFile(dir), `${lines.join('')}${options.config ?? ''}\n`, { mode: 0o600 })
}

export function configFile(dir: string): string {
  return join(dir, 'server.properties')
}

type Settings = Readonly<Record<string, string | number>>

/** As tests need it: thousands of topics that are made and removed, on a small machine, by someone who waits. */
const SMALL: Settings = {
  'group.initial.rebalance.delay.ms': 0,
  // A node that was killed is let in again when its session is over, 9 s by default.
  'broker.session.timeout.ms': 3_000,
  'broker.heartbeat.interval.ms': 500,
  'offsets.topic.num.partitions': 5,
  'transaction.state.log.num.partitions': 5,
  // Each partition has two of them, mapped into memory as large as they may become.
  'log.index.size.max.bytes': 262_144,
  'log.segment.delete.delay.ms': 1_000,
  // It is taken from the heap at the start; the default is 128 MiB.
  'log.cleaner.dedupe.buffer.size': 4_194_304,
}

const ACLS: Settings = {
  'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
  'super.users': 'User:ANONYMOUS', // whoever comes by the inner listener
}

function copiesOn(nodes: number): Settings {
  const inSync = Math.min(nodes, 2)
  return {
    'default.replication.factor': nodes,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': nodes,
    'transaction.state.log.replication.factor': nodes,
    'transaction.state.log.min.isr': inSync,
  }
}

function placeOf(
  dir: string,
  { id, port, innerPort, controllerPort }: NodePorts,
  nodes: readonly NodePorts[],
): Settings {
  const open = `CLIENT://127.0.0.1:${port},INNER://127.0.0.1:${innerPort}`
  return {
    'process.roles': 'broker,controller',
    'node.id': id,
    'controller.quorum.voters': nodes.map((node) => `${node.id}@127.0.0.1:${node.controllerPort}`).join(','),
    listeners: `${open},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': open,
    'inter.broker.listener.name': 'INNER',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': join(dir, 'data'),
  }
}

function listenerOf(dir: string, { users, tls }: ClusterConfig): Settings {
  const protocol = `${users === undefined ? '' : 'SASL_'}${tls === undefined ? 'PLAINTEXT' : 'SSL'}`
  return {
    'listener.security.protocol.map': `CLIENT:${protocol},INNER:PLAINTEXT,CONTROLLER:PLAINTEXT`,
    ...(users === undefined ? {} : loginOf(users)),
    ...(tls === undefined ? {} : tlsOf(dir, tls)),
  }
}

function loginOf(users: Users): Settings {
  const known = Object.entries(users).map(([name, password]) => `user_${name}="${password}"`)
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
  return {
    'listener.name.client.sasl.enabled.mechanisms': ['PLAIN', ...SCRAMS].join(','),
    'listener.name.client.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required ${known.join(' ')};`,
    ...Object.fromEntries(SCRAMS.map((name) => [`listener.name.client.${name.toLowerCase()}.sasl.jaas.config`, scram])),
  }
}

function tlsOf(dir: string, { ca, cert, key, isMutual = false }: Tls): Settings {
  const keystore = join(dir, 'keystore.pem') // both in one file
  writeFileSync(keystore, `${key}${cert}`, { mode: 0o600 })
  const truststore = join(dir, 'truststore.pem')
  writeFileSync(truststore, ca)
  return {
    'listener.name.client.ssl.keystore.type': 'PEM',
    'listener.name.client.ssl.keystore.location': keystore,
    'listener.name.client.ssl.truststore.type': 'PEM',
    'listener.name.client.ssl.truststore.location': truststore,
    'listener.name.client.ssl.client.auth': isMutual ? 'required' : 'none',
  }
}
