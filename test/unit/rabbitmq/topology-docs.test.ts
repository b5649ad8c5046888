import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { amqpNames } from '../../../bench/amqp-leftovers.ts'
import { BUCKETS_MS } from '../../../broker-adapters/rabbitmq/delays.ts'
import { mailboxPlace } from '../../../broker-adapters/mailbox-address.ts'
import {
  controlExchange,
  deadExchange,
  deadShape,
  deathExchange,
  delayExchange,
  delayShape,
  expiredShape,
  inboxShape,
  keptShape,
  pauseShapes,
  readerShape,
  workQueue,
  workShapes,
  type QueueShape,
} from '../../../broker-adapters/rabbitmq/topology.ts'

// docs/rabbitmq.md says what stands at a server. This makes all of it from the code and compares.

const QUEUE = { group: 'gg', service: 'ss', major: 'v7', features: { keyed: true, priority: true, frames: false } }
const BUCKET_MS = BUCKETS_MS[0] ?? 0
const KEEP_MS = 5_000

const queue = workQueue('nn', QUEUE)
const shapes: readonly QueueShape[] = [
  ...workShapes('nn', queue),
  deadShape(queue),
  readerShape(queue.dead),
  ...pauseShapes(queue),
  expiredShape('nn'),
  delayShape('nn', BUCKET_MS),
  inboxShape('nn.reply.pp.rr', 'classic', 600_000),
  keptShape(mailboxPlace('nn', 'ii', KEEP_MS).name, KEEP_MS),
]

/** As the page writes it, with what varies between < and >. */
function patternOf(name: string): string {
  return name
    .replace(/^nn\./, '<ns>.')
    .replace('gg.ss.v7', '<queue>')
    .replace(/\.k\d/, '.k<n>')
    .replace(`.delay.${BUCKET_MS}`, '.delay.<ms>')
    .replace('pp.rr', '<process>.<random>')
    .replace('.ii', '.<call id>')
}

function argumentsOf({ name, options }: QueueShape): string {
  const args = (options.arguments ?? {}) as Record<string, unknown> // as topology.ts makes them
  const { 'x-queue-type': type, ...others } = args
  const told = Object.entries(others).map(([key, value]) => {
    if (key === 'x-expires') return `\`x-expires\` ${name.includes('.kept.') ? '`keepMs` + 60000' : 'the lease'}`
    if (key === 'x-message-ttl') return '`x-message-ttl` `<ms>`'
    return `\`${key}\` ${value === '' ? "''" : patternOf(String(value))}`
  })
  return [String(type), ...(options.autoDelete === true ? ['auto-delete'] : []), ...told].join(', ')
}

function rowsOf(heading: string): string[][] {
  const page = readFileSync(new URL('../../../docs/rabbitmq.md', import.meta.url), 'utf8')
  const [, table = ''] = page.split(`\n| ${heading} |`)
  const [head = ''] = table.split('\n\n')
  const lines = head.split('\n').filter((line) => line.startsWith('| `'))
  return lines.map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )
}

test('docs/rabbitmq.md lists exactly the queues that are declared, with their arguments', () => {
  const declared = new Map(shapes.map((shape) => [`\`${patternOf(shape.name)}\``, argumentsOf(shape)]))
  expect(Object.fromEntries(rowsOf('queue').map(([name, args]) => [name, args]))).toEqual(Object.fromEntries(declared))
})

test('docs/rabbitmq.md lists exactly the exchanges that are declared', () => {
  const declared = [controlExchange('nn'), deathExchange('nn'), deadExchange('nn'), delayExchange('nn', BUCKET_MS)]
  expect(rowsOf('exchange').map(([name]) => name)).toEqual(declared.map((name) => `\`${patternOf(name)}\``))
})

test('the benchmark removes all that lasts of its queues', () => {
  const plain = workQueue('nn', { ...QUEUE, features: { ...QUEUE.features, priority: false } })
  const lasting = [...workShapes('nn', plain), deadShape(plain), ...pauseShapes(plain), expiredShape('nn')]
  const { queues, exchanges } = amqpNames('nn', [{ name: 'gg.ss.v7', keyed: true }])
  expect(queues.toSorted()).toEqual(lasting.map(({ name }) => name).toSorted())
  expect(exchanges).toEqual([controlExchange('nn'), deathExchange('nn'), deadExchange('nn')])
})
