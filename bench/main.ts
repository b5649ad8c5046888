import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join, resolve } from 'node:path'
import { measureDisk } from './disk.ts'
import type { BenchFigures } from './figures.ts'
import { readOptions, USAGE, type BenchOptions } from './options.ts'
import { killSides } from './processes.ts'
import { reportOf } from './report.ts'
import { runPair, type PairFigures } from './run-pair.ts'
import { subjectsAt, type SubjectName } from './subject.ts'

// `npm run bench`: the library and what it is compared with, in turns, on the same machine and the same disk.

const DISK_MS = 300

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    killSides()
    process.exitCode = 130
  })

try {
  const options = readOptions(process.argv.slice(2))
  await main(options)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  if (error instanceof TypeError || error instanceof RangeError) console.error(`\n${USAGE}`)
  process.exitCode ||= 1
}

async function main(options: BenchOptions): Promise<void> {
  const { broker, runs, seconds } = options
  console.log(`node ${process.version}, ${cpus().length} cores, ${broker}, ${runs} runs of ${seconds} s per load`)
  const figures = await measure(options)
  console.log(`\n${reportOf(figures)}`)
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(figures, null, 2)}\n`)
}

async function measure(options: BenchOptions): Promise<BenchFigures> {
  mkdirSync(options.dir, { recursive: true })
  const baseDir = mkdtempSync(join(resolve(options.dir), 'bench-'))
  const subjects = subjectsAt(options.broker)
  const runs = new Map<SubjectName, PairFigures[]>(subjects.map((subject) => [subject, []]))
  const disk: BenchFigures['disk'][number][] = []
  try {
    for (let run = 0; run < options.runs; run++) {
      disk.push(measureDisk(baseDir, DISK_MS))
      // another one goes first in each run: the order must not favour anyone
      const order = subjects.map((_, index) => subjects[(index + run) % subjects.length] ?? 'replyto')
      for (const subject of order) {
        console.log(`run ${run + 1} of ${options.runs}: ${subject}`)
        runs.get(subject)?.push(await runPair(subject, baseDir, options))
      }
    }
  } finally {
    killSides()
    rmSync(baseDir, { recursive: true, force: true })
  }
  return { broker: options.broker, runs: Object.fromEntries(runs), disk }
}
