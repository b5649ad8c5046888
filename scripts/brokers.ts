import { bringUp, takeDown, whatRuns } from './brokers/bring-up.ts'
import type { TestBroker } from './brokers/broker.ts'
import { RABBITMQ } from './brokers/rabbitmq.ts'
import { REDIS } from './brokers/redis.ts'

// `npm run brokers -- up|down|status [name] [--install]`: real brokers for the tests, the demo and the benchmark.

const BROKERS: readonly TestBroker[] = [RABBITMQ, REDIS]

const [command = '', ...rest] = process.argv.slice(2)
const mayInstall = rest.includes('--install') || process.env['CI'] === 'true'
const names = rest.filter((word) => word !== '--install')
const chosen = BROKERS.filter(({ name }) => names.length === 0 || names.includes(name))
const unknown = names.filter((name) => !BROKERS.some((broker) => broker.name === name))

if (!['up', 'down', 'status'].includes(command) || unknown.length > 0) {
  const known = BROKERS.map(({ name }) => name).join('|')
  console.error(`usage: npm run brokers -- up|down|status [${known}] [--install]`)
  process.exitCode = 2
} else {
  for (const broker of chosen) console.log(`${broker.name}: ${await carryOut(broker)}`)
}

async function carryOut(broker: TestBroker): Promise<string> {
  try {
    if (command === 'up') return (await bringUp(broker, { mayInstall })).url
    if (command === 'down') return (await takeDown(broker)) ? 'ended' : 'nothing of ours runs'
    return whatRuns(broker)?.url ?? 'does not run'
  } catch (error) {
    process.exitCode = 1
    return error instanceof Error ? error.message : String(error)
  }
}
