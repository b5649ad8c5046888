import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect as dial } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { configFile, SCRAMS, type NodePorts, type Users } from './kafka-config.ts'
import { CLASS_ARCHIVE, CLASS_PATH } from './kafka-files.ts'
import {
  comesUp,
  endProcess,
  isAlive,
  killProcess,
  markOf,
  processIn,
  startDetached,
  tailOf,
  type ProcessMark,
} from './processes.ts'

// One process of Kafka, run by us: in a directory of its own, as the user that we are, on loopback.

const START_MS = 90_000
/** It hands over what it leads, for which it needs a quorum: without one it would wait for minutes. */
const STOP_MS = 15_000
const FORMAT_MS = 60_000
const ANSWER_MS = 2_000
/** See `nodesKnownTo`. */
const METADATA_REQUEST = Buffer.from('0000000e0003000100000001ffff00000000', 'hex')

const JAVA = [
  '-Xmx512m',
  '-XX:+UseSerialGC',
  '-XX:-UsePerfData', // a file in the system's directory, which kill -9 would leave
  '-XX:+ExitOnOutOfMemoryError',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
]
/** Without effect where there is none, or one of another Java. */
const ARCHIVED = `-XX:SharedArchiveFile=${CLASS_ARCHIVE}`
/** A third less work at the start; slower code later, which does not pay for itself within a minute. */
const QUICK = '-XX:TieredStopAtLevel=1'

/** What is known of one that was started; enough to find and end it from another process. */
export interface NodeFacts extends NodePorts {
  readonly dir: string
  /** For one test: quick to start rather than to serve. */
  readonly isBrief: boolean
  /** Where it leaves the classes that it used, when it ends. */
  readonly archiveTo?: string | undefined
}

/** Makes its empty log of metadata, and the users that log in by SCRAM, which are in it. */
export async function formatNode(
  { dir }: NodeFacts,
  cluster: { readonly id: string; readonly users: Users },
): Promise<void> {
  const scram = Object.entries(cluster.users).flatMap(([name, password]) =>
    SCRAMS.flatMap((mechanism) => ['--add-scram', `${mechanism}=[name=${name},password=${password}]`]),
  )
  // An id may begin with a dash.
  const args = ['format', `--cluster-id=${cluster.id}`, '--config', configFile(dir), ...scram]
  mkdirSync(join(dir, 'data'), { recursive: true })
  await promisify(execFile)('java', [...JAVA, ARCHIVED, QUICK, '-cp', CLASS_PATH, 'kafka.tools.StorageTool', ...args], {
    cwd: dir,
    timeout: FORMAT_MS,
  })
}

/** Starts it, with the data that it has, on its ports; resolves when it is one of those that clients are sent to. */
export async function startNode(facts: NodeFacts): Promise<void> {
  const { dir, isBrief, archiveTo } = facts
  if (processOf(facts) !== undefined) throw failed(facts, 'runs already')
  const java = [
    ...JAVA,
    archiveTo === undefined ? ARCHIVED : `-XX:ArchiveClassesAtExit=${archiveTo}`,
    ...(isBrief ? [QUICK] : []),
    `-Djava.io.tmpdir=${dir}`,
    '-cp',
    CLASS_PATH,
    'kafka.Kafka',
    configFile(dir),
  ]
  const started = markOf(startDetached('java', java, { log: logFile(facts), env: process.env, cwd: dir }))
  writeFileSync(pidFile(facts), String(started.pid))
  await comesUp({
    withinMs: START_MS,
    answers: async () => (await nodesKnownTo(facts.innerPort)).includes(facts.id),
    isThere: () => isAlive(started),
    failed: (what) => failed(facts, what),
  })
}

/** Ends it as an operator does, which SIGTERM is; its data stays. */
export async function stopNode(facts: NodeFacts): Promise<void> {
  const server = processOf(facts)
  if (server !== undefined) await endProcess(server, STOP_MS)
}

/** `kill -9`. */
export async function killNode(facts: NodeFacts): Promise<void> {
  const server = processOf(facts)
  if (server === undefined) throw failed(facts, 'is not running')
  await killProcess(server)
}

/** Ends it and removes its data, for which nothing has to be written any more. */
export async function removeNode(facts: NodeFacts): Promise<void> {
  if (processOf(facts) !== undefined) await killNode(facts)
  rmSync(facts.dir, { recursive: true, force: true, maxRetries: 5 })
}

/** The node's process; undefined: it does not run. */
export function processOf(facts: NodeFacts): ProcessMark | undefined {
  return processIn(pidFile(facts), configFile(facts.dir))
}

/**
 * The ids of the nodes that clients are told of; none: it does not answer. A node takes connections before it is one of them.
 *
 * https://kafka.apache.org/protocol.html#The_Messages_Metadata, version 1. Request: size int32, api key int16 = 3, version int16,
 * correlation id int32, client id string = null, topics int32 = 0. Answer: size int32, correlation id int32, nodes int32, and of
 * each id int32, host string, port int32, rack string or null; more follows.
 */
async function nodesKnownTo(port: number): Promise<readonly number[]> {
  const socket = dial(port, '127.0.0.1')
  try {
    const signal = AbortSignal.timeout(ANSWER_MS)
    socket.write(METADATA_REQUEST)
    const [answer] = await once(socket, 'data', { signal })
    return Buffer.isBuffer(answer) ? readNodes(answer) : []
  } catch {
    return []
  } finally {
    socket.destroy()
  }
}

function readNodes(answer: Buffer): readonly number[] {
  const ids: number[] = []
  let at = 12
  for (let left = answer.readInt32BE(8); left > 0; left--) {
    ids.push(answer.readInt32BE(at))
    at += 4
    at += 2 + answer.readInt16BE(at) + 4
    at += 2 + Math.max(answer.readInt16BE(at), 0)
  }
  return ids
}

function pidFile({ dir }: NodeFacts): string {
  return join(dir, 'server.pid')
}
function logFile({ dir }: NodeFacts): string {
  return join(dir, 'server.log')
}

function failed(facts: NodeFacts, what: string): Error {
  return new Error(`Kafka in ${facts.dir} ${what}. The end of its log:\n${tailOf(logFile(facts))}`)
}
