// A process that opens and closes one directory, in step with others: each time it publishes one message and notes its
// confirmation. argv: JSON of OpenCloseOptions. stdin: the number of a round, one a line. stdout: 'ready', then 'done <n>'.
import { openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { messageOf, openEmbedded, QUEUE } from '../../support/embedded-adapter.ts'

export interface OpenCloseOptions {
  readonly name: string
  readonly dir: string
  readonly ledger: string
}

const { name, dir, ledger } = JSON.parse(process.argv[2] ?? '{}') as OpenCloseOptions // written by open-close.test.ts
const file = openSync(ledger, 'a')

/** The clock that all processes of a machine share and nobody sets. */
function nowMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000
}

async function openAndClose(round: string): Promise<void> {
  const opened = openEmbedded({ dir })
  const { adapter } = opened
  await opened.start()
  await adapter.declare(QUEUE)
  const id = `${name}.${round}`
  for (;;) {
    const issuedAt = nowMs()
    const [outcome] = await adapter.publish(QUEUE, [messageOf(id, { type: 'send' })])
    if (outcome?.status === 'stored') {
      writeSync(file, `confirmed ${id} ${opened.epoch()} ${issuedAt} ${nowMs()}\n`)
      break
    }
    if (outcome?.status === 'refused') throw new Error(outcome.reason)
    // The hub closed meanwhile, which is what this is about: as soon as there is another, again.
    if (outcome?.status === 'notSent') await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await adapter.stop()
}

console.log('ready')
for await (const round of createInterface({ input: process.stdin })) {
  await openAndClose(round)
  console.log(`done ${round}`)
}
