import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { outdatedFiles, type ConformanceReport } from './conformance-table.ts'
import { BUILD, FORMAT, LINT, PACKAGE, runSteps, UNUSED, vitestStep } from './steps.ts'

// `npm test`: all that must hold before a change is merged. In any outcome the last line is `N passed, N failed, N skipped`,
// where a step before the tests counts only if it fails.

interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** What is used of Vitest's JSON report. */
interface Report extends ConformanceReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly (ConformanceReport['testResults'][number] & {
    readonly status: string
    readonly assertionResults: readonly {
      readonly status: string
      readonly fullName: string
      readonly ancestorTitles: readonly string[]
    }[]
  })[]
}

/** Tests of a broker that could not be brought up stand, skipped, below this title. */
const NO_SERVER = 'no server'

const dir = mkdtempSync(join(tmpdir(), 'replyto-test-'))
let counts: Counts = { passed: 0, failed: 1, skipped: 0 }
try {
  counts = await test(join(dir, 'report.json'))
} catch (error) {
  console.error(error)
} finally {
  rmSync(dir, { recursive: true, force: true })
}
process.exitCode = counts.failed === 0 ? 0 : 1
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)

async function test(report: string): Promise<Counts> {
  const tests = vitestStep('--reporter=default', '--reporter=json', `--outputFile.json=${report}`)
  const results = await runSteps([BUILD, FORMAT, LINT, UNUSED, PACKAGE, tests])
  const last = results.at(-1)
  if (last?.name !== tests.name) return { passed: 0, failed: 1, skipped: 0 }
  const counts = readCounts(report)
  return last.isOk || counts.failed > 0 ? counts : { ...counts, failed: 1 } // an error outside of the tests, or a signal
}

function readCounts(report: string): Counts {
  const parsed = JSON.parse(readFileSync(report, 'utf8')) as Report // written by Vitest
  const { testResults, ...numbers } = parsed
  const tests = testResults.flatMap((file) => file.assertionResults)
  // Without a server of a broker nothing is known of its column.
  const isWhole = !tests.some(({ ancestorTitles }) => ancestorTitles.includes(NO_SERVER))
  const outdated = isWhole ? outdatedFiles(parsed) : []
  for (const name of outdated) console.log(`FAILED: ${name} does not say what this run shows; npm run table writes it`)
  for (const { status, fullName } of tests)
    if (status !== 'passed' && status !== 'failed') console.log(`not run: ${fullName}`)
  const unread = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
  return {
    passed: numbers.numPassedTests,
    failed: numbers.numFailedTests + unread.length + outdated.length,
    skipped: numbers.numPendingTests + numbers.numTodoTests,
  }
}
