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
 * Runs the stages one after the other, the steps of each side by side, and stops after the first with a step that fails. SIGINT and
 * SIGTERM go to the steps, which then count as failed, so that the caller can still say how it ended.
 */
export async function runStages(...stages: readonly (readonly Step[])[]): Promise<readonly StepResult[]> {
  const results: StepResult[] = []
  for (const steps of stages) {
    results.push(...(await Promise.all(steps.map((step) => runStep(step, { isAlone: steps.length === 1 })))))
    if (results.some(({ isOk }) => !isOk)) break
  }
  return results
}

/** Its output is ours at once if it is alone, else when it has ended. */
async function runStep({ name, command }: Step, { isAlone }: { readonly isAlone: boolean }): Promise<StepResult> {
  const started = performance.now()
  if (isAlone) console.log(`\n> ${name}`)
  const { isOk, output } = await runNode(command, isAlone ? 'inherit' : 'pipe')
  const seconds = (performance.now() - started) / 1000
  if (!isAlone) console.log(`\n> ${name}\n${output}`.trimEnd())
  console.log(`${isOk ? 'ok' : 'FAILED'}: ${name}, ${seconds.toFixed(1)} s`)
  return { name, isOk, seconds }
}

interface Ended {
  readonly isOk: boolean
  /** Of one whose output went here. */
  readonly output: string
}

function runNode(args: readonly string[], to: 'inherit' | 'pipe'): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { stdio: ['inherit', to, to] })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text) => (output += String(text)))
    const pass = (signal: NodeJS.Signals): void => void child.kill(signal)
    process.on('SIGINT', pass).on('SIGTERM', pass)
    const end = (isOk: boolean): void => {
      process.off('SIGINT', pass).off('SIGTERM', pass)
      resolve({ isOk, output })
    }
    child.on('error', (error) => {
      console.error(error.message)
      end(false)
    })
    child.on('close', (code) => end(code === 0))
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
