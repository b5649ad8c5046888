import { parseArgs } from 'node:util'
import { bringUp, takeDown, whatRuns } from './brokers/bring-up.ts'
import type { TestBroker } from './brokers/broker.ts'
import { KAFKA } from './brokers/kafka.ts'
import { RABBITMQ } from './brokers/rabbitmq.ts'
import { REDIS } from './brokers/redis.ts'

// `npm run brokers -- up|down|status [name] [--install] [--nodes 3]`: real brokers for the tests, the demo and the benchmark.

interface Order {
  readonly command: 'up' | 'down' | 'status'
  readonly chosen: readonly TestBroker[]
  readonly mayInstall: boolean
  /** Undefined: as many as it is. */
  readonly nodes: number | undefined
}

const BROKERS: readonly TestBroker[] = [RABBITMQ, REDIS, KAFKA]

const order = readOrder(process.argv.slice(2))
if (order === undefined) {
  const known = BROKERS.map(({ name }) => name).join('|')
  console.error(`usage: npm run brokers -- up|down|status [${known}] [--install]`)
  console.error('       npm run brokers -- up kafka [--nodes 3] [--install]')
  process.exitCode = 2
} else {
  for (const broker of order.chosen) console.log(`${broker.name}: ${await carryOut(broker, order)}`)
}

async function carryOut(broker: TestBroker, { command, mayInstall, nodes }: Order): Promise<string> {
  try {
    if (command === 'up') return (await bringUp(broker, { mayInstall, nodes })).url
    if (command === 'down') return (await takeDown(broker)) ? 'ended' : 'nothing of ours runs'
    return whatRuns(broker)?.url ?? 'does not run'
  } catch (error) {
    process.exitCode = 1
    return error instanceof Error ? error.message : String(error)
  }
}

/** Undefined: it cannot be understood. */
function readOrder(args: readonly string[]): Order | undefined {
  const options = { install: { type: 'boolean' }, nodes: { type: 'string' } } as const
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true, strict: false })
  const { install = false, nodes, ...others } = values
  const [command, ...names] = positionals
  const chosen = BROKERS.filter(({ name }) => names.length === 0 || names.includes(name))
  if (command !== 'up' && command !== 'down' && command !== 'status') return undefined
  if (typeof install !== 'boolean' || Object.keys(others).length > 0) return undefined
  if (names.some((name) => !BROKERS.some((broker) => broker.name === name))) return undefined
  const mayInstall = install || process.env['CI'] === 'true'
  if (nodes === undefined) return { command, chosen, mayInstall, nodes }
  const count = Number(nodes)
  const areMade = command === 'up' && chosen.every(({ hasNodes = false }) => hasNodes)
  return areMade && (count === 1 || count === 3) ? { command, chosen, mayInstall, nodes: count } : undefined
}
