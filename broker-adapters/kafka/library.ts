import { createRequire } from 'node:module'
import { connect as dialTcp, isIP, type Socket } from 'node:net'
import { connect as dialTls, type ConnectionOptions } from 'node:tls'
import { ConfigError } from '../../protocol/errors.ts'
import type { Codec } from './codecs.ts'
import { nameOfError } from './failures.ts'
import type { ResolvedKafkaOptions } from './options.ts'

// All that leans on kafkajs and its insides. Its public consumer waits for handlers or loses track of what they do, commits for
// partitions that it has no more, hides what became of a produce behind retries of its own, and a consumer costs a group; its
// objects for brokers and connections have none of that. The library is finished (its last release is of 2023), so its
// insides stay as they are; the version is checked.

const VERSION = /^2\.2\.\d+$/

/** One node's connections: one for fetches, which may wait long, and one for all else. */
export interface Node {
  readonly connectionPool: { readonly host: string; readonly port: number; send(request: unknown): Promise<unknown> }
  isConnected(): boolean
  connect(): Promise<void>
  disconnect(): Promise<void>
  /** The newest version of a request that both sides know. */
  lookupRequest(apiKey: number, versions: unknown): (payload: object) => ProtocolRequest
  findGroupCoordinator(options: {
    groupId: string
    coordinatorType: number
  }): Promise<{ coordinator: { nodeId: number; host: string; port: number } }>
  joinGroup(options: object): Promise<{
    generationId: number
    leaderId: string
    memberId: string
    members: { memberId: string; memberMetadata: Buffer }[]
  }>
  syncGroup(options: object): Promise<{ memberAssignment: Buffer }>
  heartbeat(options: object): Promise<unknown>
  leaveGroup(options: object): Promise<unknown>
  describeGroups(options: { groupIds: string[] }): Promise<{ groups: { members: unknown[] }[] }>
  describeConfigs(options: object): Promise<{
    resources: { configEntries: { configName: string; configValue: string | null }[] }[]
  }>
  deleteTopics(options: { topics: string[]; timeout: number }): Promise<unknown>
  deleteRecords(options: object): Promise<unknown>
}

interface ProtocolRequest {
  readonly request: { readonly apiVersion: number }
  readonly response: { readonly decode: (bytes: Buffer) => Promise<unknown> }
  readonly requestTimeout?: number
}

/** What the library is made of, as far as we use it. */
export interface Library {
  /** To a node that is known by its address, or to the next of those that are configured. */
  dial(address?: { readonly host: string; readonly port: number; readonly nodeId: number }): Promise<Node>
  /**
   * Sends a request and gives what the answer says, errors of single partitions included, of which the library itself would
   * throw only the first.
   *
   * @param codec writes the request and reads its answer, instead of the library, where it knows the version and the form
   */
  ask<Payload extends object>(node: Node, name: RequestName, payload: Payload, codec?: Codec<Payload>): Promise<unknown>
  /** CRC-32C, which Node has not. */
  readonly crcOf: (bytes: Buffer) => number
  /** The name of an error code; undefined: none. */
  errorName(code: number): string | undefined
  /** Without those of transactions that were given up. */
  withoutAborted(messages: readonly RawRecord[], aborted: readonly unknown[]): readonly RawRecord[]
  /** Ends every socket: what waits for an answer rejects. */
  destroy(): void
}

export type RequestName =
  'Metadata' | 'Produce' | 'Fetch' | 'ListOffsets' | 'OffsetCommit' | 'OffsetFetch' | 'CreateTopics'

export interface RawRecord {
  readonly offset: string
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer | readonly Buffer[] | null | undefined>>
  readonly isControlRecord: boolean
}

interface Insides {
  readonly Kafka: new (config: object) => object
  readonly requests: Readonly<Record<RequestName, unknown>>
  readonly apiKeys: Readonly<Record<RequestName, number>>
  readonly errorOf: (code: number) => { readonly type: string }
  readonly crcOf: (bytes: Buffer) => number
  readonly withoutAborted: (options: {
    messages: readonly RawRecord[]
    abortedTransactions: readonly unknown[]
  }) => readonly RawRecord[]
}

let loaded: Insides | undefined

/** @throws ConfigError if it is missing, or is another version than the one whose insides are known */
export function loadLibrary(): Insides {
  loaded ??= load()
  return loaded
}

function load(): Insides {
  const require = createRequire(import.meta.url)
  const version = versionOf(require)
  if (!VERSION.test(version))
    throw new ConfigError(`the Kafka adapter works with kafkajs 2.2 and found ${version}: npm i kafkajs@2.2.4`)
  quietTimers(require)
  const { requests } = require('kafkajs/src/protocol/requests') as Pick<Insides, 'requests'> // of the version that was checked
  const apiKeys = require('kafkajs/src/protocol/requests/apiKeys') as Insides['apiKeys'] // the same
  const { createErrorFromCode } = require('kafkajs/src/protocol/error') as {
    createErrorFromCode: Insides['errorOf'] // the same
  }
  const { Kafka } = require('kafkajs') as Pick<Insides, 'Kafka'> // the same
  const withoutAborted = require('kafkajs/src/consumer/filterAbortedMessages') as Insides['withoutAborted'] // the same
  const crcOf = require('kafkajs/src/protocol/recordBatch/crc32C') as Insides['crcOf'] // the same
  return { Kafka, requests, apiKeys, errorOf: createErrorFromCode, crcOf, withoutAborted }
}

function versionOf(require: NodeJS.Require): string {
  try {
    const { version } = require('kafkajs/package.json') as { readonly version: string } // npm wants one
    return version
  } catch (error) {
    if (nameOfError(error) !== 'MODULE_NOT_FOUND') throw error
    throw new ConfigError("Kafka is reached by the package 'kafkajs', which is not installed: npm i kafkajs@2.2.4")
  }
}

interface RequestQueue {
  readonly pending: readonly unknown[]
  readonly throttledUntil: number
  readonly enforceRequestTimeout: boolean
  readonly requestTimeout: number
  readonly inflight: ReadonlyMap<number, { sentAt: number; requestTimeout: number; timeoutRequest(): void }>
  requestTimeoutIntervalId: NodeJS.Timeout | undefined
  readonly isConnected: () => boolean
  destroy(): void
  scheduleCheckPendingRequests: (this: RequestQueue) => void
  scheduleRequestTimeoutCheck: (this: RequestQueue) => void
}

/**
 * Each connection looks every 10 ms, for ever, for requests that wait although none does
 * (https://github.com/tulios/kafkajs/issues/1751), and every 100 ms for answers that are overdue, which may take half a minute:
 * most of what an idle process did. Both hold for whoever else uses the library in this process.
 */
function quietTimers(require: NodeJS.Require): void {
  const { prototype } = require('kafkajs/src/network/requestQueue') as { prototype: RequestQueue } // of the version that was checked
  const schedule = prototype.scheduleCheckPendingRequests
  prototype.scheduleCheckPendingRequests = function check(): void {
    if (this.pending.length === 0 && this.throttledUntil <= Date.now()) return
    schedule.call(this)
  }
  prototype.scheduleRequestTimeoutCheck = function watch(): void {
    if (!this.enforceRequestTimeout) return
    this.destroy()
    const look = (): void => {
      const now = Date.now()
      for (const one of this.inflight.values()) if (now - one.sentAt > one.requestTimeout) one.timeoutRequest()
      if (!this.isConnected()) this.destroy()
    }
    this.requestTimeoutIntervalId = setInterval(look, Math.min(this.requestTimeout / 10, 1_000))
  }
}

/** @param onClosed a connection that was there is gone */
export function openLibrary(
  options: ResolvedKafkaOptions,
  { use, onClosed }: { readonly use: string; readonly onClosed: (reason: string) => void },
): Library {
  const { Kafka, requests, apiKeys, errorOf, crcOf, withoutAborted } = loadLibrary()
  const sockets = new Set<Socket>()
  let isDestroyed = false

  function dialSocket({ host, port, ssl, onConnect }: SocketRequest): Socket {
    const socket =
      ssl === undefined || ssl === null
        ? dialTcp({ host, port }, onConnect)
        : dialTls({ host, port, ...(isIP(host) === 0 && { servername: host }), ...ssl }, onConnect)
    socket.setNoDelay(true) // else 40 ms for what is written in two pieces
    socket.setKeepAlive(true, 30_000)
    let why = 'the connection was closed'
    socket.on('error', (error) => (why = error.message))
    socket.on('close', () => {
      if (sockets.delete(socket) && !isDestroyed) onClosed(why)
    })
    socket.on('connect', () => sockets.add(socket))
    if (isDestroyed) setImmediate(() => socket.destroy(new Error('the connection was given up')))
    return socket
  }

  const kafka = new Kafka({
    clientId: `replyto-${use}-${process.pid}`,
    brokers: options.nodes,
    ssl: options.ssl,
    sasl: options.sasl,
    connectionTimeout: options.dialTimeoutMs,
    authenticationTimeout: options.dialTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    enforceRequestTimeout: true,
    retry: { retries: 0 },
    socketFactory: dialSocket,
    logCreator: () => () => {}, // what goes wrong is told to whoever asked
  })
  const cluster = clusterOf(kafka)
  let dials = 0

  return {
    async dial(address) {
      const node = cluster.brokerPool.createBroker({
        connectionPool: await cluster.connectionPoolBuilder.build(address ?? seedOf(options.nodes, dials++)),
        logger: cluster.rootLogger,
        nodeId: address?.nodeId ?? null,
      })
      await node.connect()
      return node
    },
    async ask(node, name, payload, codec) {
      const { request, response, requestTimeout } = node.lookupRequest(apiKeys[name], requests[name])(payload)
      const { write, read } = codec !== undefined && isKnown(codec, request.apiVersion) ? codec : NO_CODEC
      return node.connectionPool.send({
        request: write === undefined ? request : { ...request, encode: async () => encoded(write(payload)) },
        response: {
          decode: async (bytes: Buffer) => read?.(bytes) ?? response.decode(bytes),
          parse: async (data: unknown) => data, // as it is
        },
        requestTimeout,
      })
    },
    crcOf,
    errorName: (code) => (code === 0 ? undefined : errorOf(code).type),
    withoutAborted: (messages, aborted) =>
      aborted.length === 0 ? messages : withoutAborted({ messages, abortedTransactions: aborted }),
    destroy() {
      isDestroyed = true
      for (const socket of sockets) socket.destroy(new Error('the connection was given up'))
      sockets.clear()
    },
  }
}

/** As much of the library's own encoder as it looks at. */
function encoded(buffer: Buffer): object {
  return { buf: buffer, buffer }
}

const NO_CODEC: Pick<Codec<object>, 'write' | 'read'> = {}

function isKnown({ versions: [first, last] }: Codec<never>, version: number): boolean {
  return version >= first && version <= last
}

/** The library would divide an IPv6 address at its first colon. */
function seedOf(nodes: readonly string[], turn: number): { readonly host: string; readonly port: number } {
  const node = nodes[turn % nodes.length] ?? ''
  const at = node.lastIndexOf(':')
  return { host: node.slice(0, at).replaceAll(/[[\]]/g, ''), port: Number(node.slice(at + 1)) }
}

interface SocketRequest {
  readonly host: string
  readonly port: number
  readonly ssl: ConnectionOptions | null | undefined
  readonly onConnect: () => void
}

interface Cluster {
  readonly rootLogger: unknown
  readonly connectionPoolBuilder: { build(address?: { host: string; port: number }): Promise<unknown> }
  readonly brokerPool: { createBroker(options: object): Node }
}

/** Behind a symbol of which only the description is known. */
function clusterOf(kafka: object): Cluster {
  const symbol = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === 'private:Kafka:createCluster',
  )
  const create: unknown = symbol === undefined ? undefined : Reflect.get(kafka, symbol)
  if (typeof create !== 'function')
    throw new ConfigError('this kafkajs is not the one that the adapter knows: npm i kafkajs@2.2.4')
  return create({ allowAutoTopicCreation: false, isolationLevel: READ_COMMITTED }) as Cluster // of the version that was checked
}

const READ_COMMITTED = 1
