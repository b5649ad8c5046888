// Fifty processes open and close one directory in step: the hub changes hands all the time, in order.
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { latestEpoch } from '../../broker-adapters/embedded/election.ts'
import { confirmedByTwo, makeDirectory, readLedgers } from '../support/embedded-processes.ts'
import { QUEUE } from '../support/embedded-adapter.ts'
import { eventually } from '../support/eventually.ts'
import type { OpenCloseOptions } from './programs/open-close.ts'
import { takeAll } from './drain.ts'
import { isFull } from './size.ts'

const PROCESSES = 50
const ROUNDS = isFull ? 200 : 10
const ROUND_MS = 30_000
const PROGRAM = fileURLToPath(new URL('../../dist/test/sweep/programs/open-close.js', import.meta.url))

test(
  `${PROCESSES} processes open and close one directory ${ROUNDS} times: nothing is lost, no two hubs confirm`,
  { timeout: 60_000 + ROUNDS * ROUND_MS },
  async () => {
    const { root, dir } = makeDirectory()
    const all = Array.from({ length: PROCESSES }, (_, index) => startOne(root, dir, `p${index}`))
    onTestFinished(async () => {
      await Promise.all(all.map((one) => one.destroy()))
      rmSync(root, { recursive: true, force: true })
    })
    await Promise.all(all.map((one) => one.line('ready')))
    for (let round = 1; round <= ROUNDS; round++) {
      for (const one of all) one.begin(round)
      await Promise.all(all.map((one) => one.line(`done ${round}`)))
      if (round % 50 === 0) console.log(`round ${round} of ${ROUNDS}`)
    }
    const { confirms, odd } = readLedgers(root)
    const epochs = latestEpoch(dir)
    console.log(`${confirms.length} confirmed by ${epochs} hubs`)
    expect(odd).toEqual([])
    expect(confirms).toHaveLength(PROCESSES * ROUNDS)
    expect(confirmedByTwo(confirms)).toEqual([])
    expect(epochs).toBeGreaterThanOrEqual(ROUNDS)
    expect((await takeAll({ dir }, QUEUE)).toSorted()).toEqual(confirms.map(({ id }) => id).toSorted())
  },
)

interface OneProcess {
  line(text: string): Promise<void>
  begin(round: number): void
  destroy(): Promise<void>
}

function startOne(root: string, dir: string, name: string): OneProcess {
  const options: OpenCloseOptions = { name, dir, ledger: join(root, `${name}.ledger`) }
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(options)])
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  let errors = ''
  let latest = ''
  child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-2_000)))
  createInterface({ input: child.stdout }).on('line', (line) => (latest = line))
  return {
    async line(text) {
      const hasSaid = (): boolean => {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${name} ended: ${errors}`)
        return latest === text
      }
      await eventually(hasSaid, { what: `${name} says '${text}' (${latest}) ${errors}`, within: ROUND_MS })
    },
    begin: (round) => void child.stdin.write(`${round}\n`),
    async destroy() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
