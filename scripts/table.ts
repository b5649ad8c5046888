import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeGenerated, type ConformanceReport } from './conformance-table.ts'
import { BUILD, runSteps, vitestStep } from './steps.ts'

// `npm run table`: runs the conformance suite and writes what it shows into the README and docs/semantics.md.

const dir = mkdtempSync(join(tmpdir(), 'replyto-table-'))
try {
  const file = join(dir, 'report.json')
  const suite = vitestStep('test/conformance', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`)
  const results = await runSteps([BUILD, suite])
  if (results.every(({ isOk }) => isOk)) {
    const report = JSON.parse(readFileSync(file, 'utf8')) as ConformanceReport // written by Vitest
    writeGenerated(report)
  } else process.exitCode = 1
} finally {
  rmSync(dir, { recursive: true, force: true })
}
