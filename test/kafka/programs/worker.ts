// A worker of the tests in a process of its own. argv: namespace, JSON of the options of kafka().
// stdout, one a line: 'up', 'warn ' with code and text of a warning, 'run ' and the key, 'lost ' and the key, 'done ' and the key,
// 'fence ' and that of a post.
import { setTimeout as sleep } from 'node:timers/promises'
import type { LogLine } from '../../../broker-adapters/broker.ts'
import { kafka, type KafkaOptions } from '../../../broker-adapters/kafka/index.ts'
import { createWorker } from '../../../worker/create-worker.ts'
import { jobs } from '../../support/load.ts'

const [namespace = '', options = ''] = process.argv.slice(2)
const say = (word: string, key: string): void => console.log(`${word} ${key}`)

function log({ level, code, message }: LogLine): void {
  if (level === 'warn') say(`warn ${code}`, message)
}

/** `slow-<ms>…` takes so long, `hang…` never ends, all else is done at once. */
async function run(key: string): Promise<void> {
  const [, ms] = /^slow-(\d+)/.exec(key) ?? []
  if (ms !== undefined) await sleep(Number(ms))
  if (key.startsWith('hang')) await new Promise(() => {})
}

const worker = createWorker(kafka(JSON.parse(options) as KafkaOptions), { namespace, log }) // written by the test
worker.serve(jobs, {
  async work({ key }, { signal }) {
    say('run', key)
    signal.addEventListener('abort', () => say('lost', key))
    await run(key)
    say('done', key)
    return `process ${key}`
  },
  note: ({ key }) => say('run', key),
  async post({ key }, { fence }) {
    say('run', key)
    say('fence', String(fence))
    await run(key)
    return `process ${key}`
  },
})
await worker.start()
console.log('up')
