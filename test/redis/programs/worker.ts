// A worker of the tests in a process of its own. argv: namespace, JSON of the options of redis().
// stdout, one a line: 'up', 'run ' and the key, 'lost ' and the key, 'done ' and the key, 'fence ' and that of a post.
import { redis, type RedisOptions } from '../../../broker-adapters/redis/index.ts'
import { createWorker } from '../../../worker/create-worker.ts'
import { jobs } from '../../support/load.ts'

const [namespace = '', options = ''] = process.argv.slice(2)
const say = (word: string, key: string): void => console.log(`${word} ${key}`)

const worker = createWorker(redis(JSON.parse(options) as RedisOptions), { namespace, log: () => {} }) // written by the test
worker.serve(jobs, {
  /** `block-<ms>…` blocks the event loop for so long, `hang…` never ends, all else is done at once. */
  async work({ key }, { signal }) {
    say('run', key)
    signal.addEventListener('abort', () => say('lost', key))
    const [, ms] = /^block-(\d+)/.exec(key) ?? []
    if (ms !== undefined) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(ms))
    if (key.startsWith('hang')) await new Promise(() => {})
    say('done', key)
    return `process ${key}`
  },
  note: ({ key }) => say('run', key),
  async post({ key }, { fence }) {
    say('run', key)
    say('fence', String(fence))
    if (key.startsWith('hang')) await new Promise(() => {})
    return `process ${key}`
  },
})
await worker.start()
console.log('up')
