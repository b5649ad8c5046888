import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished } from 'vitest'
import { eventually } from './eventually.ts'

/** Node 20 runs no TypeScript, so the demo is the compiled one. */
const DEMO = fileURLToPath(new URL('../../dist/examples/demo/main.js', import.meta.url))
const FILES = 120

/** Of a test that runs it. */
export const DEMO_LIMIT_MS = 150_000

/** A server of the test's own. */
export interface DemoServer {
  readonly url: string
  stop(): Promise<void>
  start(): Promise<void>
}

/** How it ended, from what it printed. */
export interface DemoEnd {
  readonly code: number | null
  readonly stderr: string
  /** It was not done when the server was stopped. */
  readonly isInTheMiddle: boolean
  /** The figures. */
  readonly summary: string | undefined
  /** How many results are not what one process computes. */
  readonly differences: string | undefined
  /** Workers that were killed, while they had calls at work. */
  readonly killed: number
  readonly drained: number
}

export const NOTHING_LOST: Readonly<Record<Exclude<keyof DemoEnd, 'stderr'>, unknown>> = {
  code: 0,
  isInTheMiddle: true,
  summary: expect.stringMatching(new RegExp(`^${FILES} files, ${FILES} results, 0 lost, \\d+ run again$`)),
  differences: '0',
  killed: 1,
  drained: 2,
}

/** Runs the demo, which kills one of its workers, and restarts the server in the middle. */
export async function runDemoOverRestart(server: DemoServer): Promise<DemoEnd> {
  const demo = spawn(process.execPath, [DEMO, makeFiles(), '--broker', server.url])
  onTestFinished(() => void demo.kill('SIGKILL'))
  const exited = once(demo, 'exit') as Promise<[number | null]> // so says Node of 'exit'
  let stdout = ''
  let stderr = ''
  demo.stdout.on('data', (text) => (stdout += String(text)))
  demo.stderr.on('data', (text) => (stderr += String(text)))
  const done = (): number => Number([...stdout.matchAll(/^(\d+) of \d+$/gm)].at(-1)?.[1] ?? 0)

  await eventually(() => done() > 0 || demo.exitCode !== null, { within: 30_000, what: 'the first tenth of the files' })
  await server.stop()
  const isInTheMiddle = done() < FILES
  await server.start()
  const [code] = await exited
  const wasAtWork = /kill -9 \d+: worker-\d had [1-9]\d* calls at work/.test(stdout)
  return {
    code,
    stderr,
    isInTheMiddle,
    summary: /^\d+ files, .*$/m.exec(stdout)?.[0],
    differences: /file by file: (\d+) differ/.exec(stdout)?.[1],
    killed: wasAtWork ? stdout.split('killed (SIGKILL)').length - 1 : 0,
    drained: stdout.split('drained').length - 1,
  }
}

/** Small enough to be made at once, enough work that the server goes and comes back in the middle of it. */
function makeFiles(): string {
  const dir = mkdtempSync(join(tmpdir(), 'replyto-demo-test-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  for (let file = 0; file < FILES; file++)
    writeFileSync(join(dir, `file-${file}`), `some words on line ${file}\n`.repeat(20_000))
  return dir
}
