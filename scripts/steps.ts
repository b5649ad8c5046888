import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One command of the test run or of the contributor's loop. */
export interface Step {
  readonly name: string
  /** Arguments of node, the file to run first. */
  readonly command: readonly string[]
}

export interface StepResult {
  readonly name: string
  readonly isOk: boolean
  readonly seconds: number
}

/** Compiles to dist/, which checks the types of everything, the type tests included. */
export const BUILD: Step = { name: 'build and types', command: [join('dist', 'scripts', 'build.js')] }
export const FORMAT: Step = { name: 'format', command: [binOf('prettier'), '--check', '--log-level', 'warn', '.'] }
export const LINT: Step = { name: 'lint', command: [binOf('oxlint'), '--type-aware', '--deny-warnings'] }

/** What nobody uses: files, exports, dependencies. */
export const UNUSED: Step = { name: 'unused', command: [binOf('knip')] }
/** What the registry would be given: entries, types and files agree. */
export const PACKAGE: Step = { name: 'package', command: [binOf('publint'), '--strict', '--pack', 'npm'] }

/** @param args what follows `vitest run` */
export function vitestStep(...args: readonly string[]): Step {
  return { name: 'tests', command: [binOf('vitest'), 'run', ...args] }
}

/**
 * Runs the steps one after the other with their output on ours and stops at the first that fails. SIGINT and SIGTERM go
 * to the step, which then counts as failed, so that the caller can still say how it ended.
 */
export async function runSteps(steps: readonly Step[]): Promise<readonly StepResult[]> {
  const results: StepResult[] = []
  for (const step of steps) {
    const started = performance.now()
    console.log(`\n> ${step.name}`)
    const isOk = await runNode(step.command)
    const seconds = (performance.now() - started) / 1000
    results.push({ name: step.name, isOk, seconds })
    console.log(`${isOk ? 'ok' : 'FAILED'}: ${step.name}, ${seconds.toFixed(1)} s`)
    if (!isOk) break
  }
  return results
}

function runNode(args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { stdio: 'inherit' })
    const pass = (signal: NodeJS.Signals): void => void child.kill(signal)
    process.on('SIGINT', pass).on('SIGTERM', pass)
    const end = (isOk: boolean): void => {
      process.off('SIGINT', pass).off('SIGTERM', pass)
      resolve(isOk)
    }
    child.on('error', (error) => {
      console.error(error.message)
      end(false)
    })
    child.on('exit', (code) => end(code === 0))
  })
}

/** The file that an installed tool runs: no shell, the same on every system. */
export function binOf(tool: string): string {
  const dir = join('node_modules', tool)
  const { bin } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as {
    bin: string | Record<string, string>
  }
  const file = typeof bin === 'string' ? bin : Object.values(bin)[0]
  if (file === undefined) throw new Error(`${tool} has nothing to run`)
  return join(dir, file)
}
