import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect as dial } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { connect } from 'amqplib'
import {
  comesUp,
  endProcess,
  freePorts,
  isAlive,
  killProcess,
  markOf,
  processIn,
  startDetached,
  tailOf,
  type ProcessMark,
} from './processes.ts'

// A RabbitMQ of the system's package, run by us: in a directory of its own, as the user that we are, on loopback.

/** Where Debian's package has the scripts that do not change the user. */
const BIN = '/usr/lib/rabbitmq/bin'
const START_MS = 90_000
const STOP_MS = 30_000
/** It shares the cores with clients and other servers, which need what its schedulers would spend on waiting busily. */
const NO_SPINNING = '+sbwt none +sbwtdcpu none +sbwtdio none'

/** What is known of one that was started; enough to find and end it from another process. */
export interface NodeFacts {
  readonly dir: string
  readonly port: number
  readonly url: string
  readonly name: string
  readonly distPort: number
  readonly epmdPort: number
  readonly epmd: ProcessMark
}

export interface NodeOptions {
  readonly dir: string
  /** Lines of rabbitmq.conf beside our own. */
  readonly config?: string | undefined
  /** advanced.config, in Erlang. */
  readonly advancedConfig?: string | undefined
}

export function isInstalled(): boolean {
  return existsSync(join(BIN, 'rabbitmq-server'))
}

/** Makes its directory and starts it; resolves when it takes connections. */
export async function createNode({ dir, config = '', advancedConfig }: NodeOptions): Promise<NodeFacts> {
  const [port = 0, distPort = 0, epmdPort = 0] = await freePorts(3)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  writeFileSync(
    join(dir, 'rabbitmq.conf'),
    `listeners.tcp.local = 127.0.0.1:${port}\nloopback_users = none\nlog.console = false\n${config}\n`,
  )
  if (advancedConfig !== undefined) writeFileSync(join(dir, 'advanced.config'), advancedConfig)
  writeFileSync(join(dir, 'enabled_plugins'), '[].\n')
  linkApplications(pluginsDir({ dir }))
  // Each queue holds files open, and shells begin with 1024.
  writeFileSync(join(dir, 'env.conf'), 'ulimit -n $(ulimit -Hn)\n')
  const epmdPid = startDetached('epmd', ['-port', String(epmdPort), '-address', '127.0.0.1'], {
    log: join(dir, 'epmd.log'),
    env: process.env,
    cwd: dir,
  })
  // Else the node starts one itself, which stays for ever.
  if (!(await listensWithin(epmdPort, 5_000)))
    throw new Error(`epmd does not listen:\n${tailOf(join(dir, 'epmd.log'))}`)
  const facts: NodeFacts = {
    dir,
    port,
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    name: `replyto${port}@localhost`,
    distPort,
    epmdPort,
    epmd: markOf(epmdPid),
  }
  await startNode(facts)
  return facts
}

/** Starts it again, with its data. */
export async function startNode(facts: NodeFacts): Promise<void> {
  rmSync(pidFile(facts), { force: true })
  const log = join(facts.dir, 'start.log')
  const starter = markOf(startDetached(join(BIN, 'rabbitmq-server'), [], { log, env: envOf(facts), cwd: facts.dir }))
  await comesUp({
    withinMs: START_MS,
    answers: () => answers(facts.url),
    isThere: () => isAlive(starter) || serverOf(facts) !== undefined,
    failed: (what) => failed(facts, what),
  })
}

/** Ends it as an operator does; its data stays. */
export async function stopNode(facts: NodeFacts): Promise<void> {
  const server = serverOf(facts)
  if (server !== undefined) await endProcess(server, STOP_MS)
}

/** `kill -9` of the server itself. */
export async function killNode(facts: NodeFacts): Promise<void> {
  const server = serverOf(facts)
  if (server === undefined) throw failed(facts, 'is not running')
  await killProcess(server)
}

/** Ends it and removes its data, for which nothing has to be written any more. */
export async function removeNode(facts: NodeFacts): Promise<void> {
  if (serverOf(facts) !== undefined) await killNode(facts)
  await endProcess(facts.epmd, 2_000)
  rmSync(facts.dir, { recursive: true, force: true, maxRetries: 5 })
}

/** The server's process; undefined: it does not run. */
export function serverOf(facts: NodeFacts): ProcessMark | undefined {
  return processIn(pidFile(facts), `-home ${facts.dir}`)
}

/** `rabbitmqctl`, about this one. */
export async function ctl(facts: NodeFacts, ...args: readonly string[]): Promise<string> {
  const command = join(BIN, 'rabbitmqctl')
  const { stdout } = await promisify(execFile)(command, ['--node', facts.name, '--quiet', ...args], {
    env: envOf(facts),
    timeout: 60_000,
  })
  return stdout
}

/**
 * The server's own applications, without the plugins, of which none is enabled: Erlang looks for each module in the folder of each
 * application, those of its own compiler last, and a start did so 50,000 times.
 */
function linkApplications(dir: string): void {
  mkdirSync(dir)
  const all = join(dirname(realpathSync(join(BIN, 'rabbitmq-server'))), '..', 'plugins')
  for (const name of readdirSync(all))
    if (!/^rabbitmq_(?!prelaunch)/.test(name)) symlinkSync(join(all, name), join(dir, name))
}

async function listensWithin(port: number, ms: number): Promise<boolean> {
  const until = performance.now() + ms
  for (;;) {
    const socket = dial(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return true
    } catch {
      if (performance.now() > until) return false
      await sleep(20)
    } finally {
      socket.destroy()
    }
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const connection = await connect(url, { timeout: 5_000 })
    connection.on('error', () => {})
    await connection.close()
    return true
  } catch {
    return false
  }
}

function pidFile({ dir }: NodeFacts): string {
  return join(dir, 'server.pid')
}
function pluginsDir({ dir }: Pick<NodeFacts, 'dir'>): string {
  return join(dir, 'plugins')
}

/** All that the scripts of the package look at. The home directory holds the cookie by which nodes and tools know each other. */
function envOf({ dir, name, distPort, epmdPort }: NodeFacts): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    LANG: 'C.UTF-8',
    HOME: dir,
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: name,
    RABBITMQ_DIST_PORT: String(distPort),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: `-kernel inet_dist_use_interface {127,0,0,1} ${NO_SPINNING}`,
    RABBITMQ_CONF_ENV_FILE: join(dir, 'env.conf'),
    RABBITMQ_CONFIG_FILE: join(dir, 'rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(dir, 'advanced.config'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, 'enabled_plugins'),
    RABBITMQ_PLUGINS_DIR: pluginsDir({ dir }),
    RABBITMQ_MNESIA_BASE: join(dir, 'data'),
    RABBITMQ_LOG_BASE: join(dir, 'log'),
    RABBITMQ_PID_FILE: join(dir, 'server.pid'),
  }
}

function failed(facts: NodeFacts, what: string): Error {
  const log = tailOf(join(facts.dir, 'log', `${facts.name}.log`))
  return new Error(
    `RabbitMQ in ${facts.dir} ${what}. The end of its logs:\n${tailOf(join(facts.dir, 'start.log'))}\n${log}`,
  )
}
