import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeConfig, type ClusterConfig } from './kafka-config.ts'
import { CLASS_ARCHIVE, fetchFiles } from './kafka-files.ts'
import { formatNode, killNode, processOf, removeNode, startNode, stopNode, type NodeFacts } from './kafka-node.ts'
import { freePorts } from './processes.ts'

/** A Kafka that was started, of one process or more. */
export interface ClusterFacts {
  readonly dir: string
  /** Of all nodes: `kafka://<host>:<port>,<host>:<port>`. */
  readonly url: string
  readonly nodes: readonly NodeFacts[]
}

export interface ClusterOptions extends ClusterConfig {
  readonly dir: string
  /** Each of them is a broker and a voter; with three, one may be away. @default 1 */
  readonly nodes?: number | undefined
  /** For one test: quick to start rather than to serve. @default false */
  readonly isBrief?: boolean | undefined
  /** Where a server of no other use leaves its classes when it is stopped. @default it uses those that one left */
  readonly archiveTo?: NodeFacts['archiveTo']
}

/** Makes its directories and starts it; resolves when each node answers. */
export async function createCluster(options: ClusterOptions): Promise<ClusterFacts> {
  await fetchFiles()
  if (!existsSync(CLASS_ARCHIVE) && options.archiveTo === undefined) await archiveClasses(options.dir)
  const { dir } = options
  const nodes = await placeNodes(options)
  const facts: ClusterFacts = { dir, url: `kafka://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`, nodes }
  const cluster = { id: randomBytes(16).toString('base64url'), users: options.users ?? {} }
  try {
    for (const node of nodes) {
      mkdirSync(node.dir, { recursive: true, mode: 0o700 })
      writeConfig(node.dir, { node, nodes, options })
    }
    await Promise.all(nodes.map((node) => formatNode(node, cluster)))
    await Promise.all(nodes.map(startNode))
  } catch (error) {
    await removeCluster(facts)
    throw error
  }
  return facts
}

/** A server of no other use leaves its classes, once for all that are started later. */
async function archiveClasses(dir: string): Promise<void> {
  const archiveTo = `${CLASS_ARCHIVE}-${process.pid}`
  const cluster = await createCluster({ dir, isBrief: true, archiveTo })
  try {
    await stopCluster(cluster)
    if (existsSync(archiveTo)) renameSync(archiveTo, CLASS_ARCHIVE)
    else writeFileSync(CLASS_ARCHIVE, '') // this Java makes none, and passes over an empty one
  } finally {
    await removeCluster(cluster)
  }
}

/** Starts the nodes that do not run, with their data, on their ports. */
export async function startCluster(facts: ClusterFacts): Promise<void> {
  const running = runningOf(facts)
  await Promise.all(facts.nodes.filter((node) => !running.includes(node)).map(startNode))
}

/** Ends the nodes that run, as an operator does. */
export async function stopCluster(facts: ClusterFacts): Promise<void> {
  await Promise.all(facts.nodes.map(stopNode))
}

/** `kill -9` of the nodes that run. */
export async function killCluster(facts: ClusterFacts): Promise<void> {
  await Promise.all(runningOf(facts).map(killNode))
}

/** Ends it and removes its data. */
export async function removeCluster({ dir, nodes }: ClusterFacts): Promise<void> {
  await Promise.all(nodes.map(removeNode))
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
}

/** One node at least runs, so that there is something to end. */
export function runsAtAll(facts: ClusterFacts): boolean {
  return runningOf(facts).length > 0
}

function runningOf({ nodes }: ClusterFacts): readonly NodeFacts[] {
  return nodes.filter((node) => processOf(node) !== undefined)
}

async function placeNodes({
  dir,
  nodes = 1,
  isBrief = false,
  archiveTo,
}: ClusterOptions): Promise<readonly NodeFacts[]> {
  const ports = await freePorts(3 * nodes)
  return Array.from({ length: nodes }, (_, at) => {
    const [port = 0, innerPort = 0, controllerPort = 0] = ports.slice(3 * at)
    return { id: at + 1, dir: join(dir, String(at + 1)), port, innerPort, controllerPort, isBrief, archiveTo }
  })
}
