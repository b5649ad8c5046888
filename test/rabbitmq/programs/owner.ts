// A process of the tests: one adapter that consumes a keyed queue and does with each delivery what it is told.
// argv: namespace, URL, prefetch. stdin, one a line: 'ack ID', 'retry ID DELAY ATTEMPT', 'release ID', 'pause', 'resume', 'stop'.
// stdout, one a line: 'up', 'got ' and JSON of a Hand, 'done ' and the command.
import { createInterface } from 'node:readline'
import type { Delivery } from '../../../broker-adapters/adapter.ts'
import { HEADER } from '../../../protocol/headers.ts'
import { KEYED, startAdapter } from '../keyed.ts'

/** A hand-over as the parent hears of it. */
export interface Hand {
  readonly id: string
  readonly key: string
  readonly attempt: string | undefined
  readonly redelivered: boolean
  readonly handBacks: number | undefined
  readonly fence: number | undefined
  /** Epoch ms. */
  readonly at: number
}

const [namespace = '', url = '', prefetch = '10'] = process.argv.slice(2)
const held = new Map<string, Delivery>()
const say = (...words: readonly string[]): void => console.log(words.join(' '))

const adapter = await startAdapter(namespace, url)
const subscription = await adapter.consume(KEYED, { prefetch: Number(prefetch) }, (delivery) => {
  const { message, redelivered, handBacks, fence } = delivery
  const { id, headers } = message
  held.set(id, delivery)
  const hand: Hand = {
    id,
    key: headers[HEADER.key] ?? '',
    attempt: headers[HEADER.attempt],
    redelivered,
    handBacks,
    fence,
    at: Date.now(),
  }
  say('got', JSON.stringify(hand))
})
say('up')

createInterface({ input: process.stdin }).on('line', (line) => {
  void obey(line.split(' ')).then(() => say('done', line))
})

async function obey([command = '', id = '', delayMs = '0', attempt = '']: readonly string[]): Promise<void> {
  const delivery = held.get(id)
  if (command === 'ack') delivery?.ack()
  else if (command === 'release') delivery?.release()
  else if (command === 'retry')
    await delivery?.retry({ delayMs: Number(delayMs), headers: { [HEADER.attempt]: attempt } })
  else if (command === 'pause') await subscription.pause()
  else if (command === 'resume') subscription.resume()
  else if (command === 'stop') {
    await subscription.stop()
    await adapter.stop()
    process.stdin.destroy()
  } else throw new Error(`no such command: ${command}`)
}
