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
const FILES = 240

/** Of a test that runs it. */
export const DEMO_LIMIT_MS = 150_000

/** A server of the test's own. */
export interface DemoServer {
  readonly url: string
  stop(): Promise<void>
  start(): Promise<void>
}

/** Runs the demo, which kills one of its workers, and restarts the server in the middle: it must have lost nothing. */
export async function runDemoOverRestart(server: DemoServer): Promise<void> {
  const demo = spawn(process.execPath, [DEMO, makeFiles(), '--broker', server.url])
  onTestFinished(() => void demo.kill('SIGKILL'))
  const exited = once(demo, 'exit')
  let stdout = ''
  let stderr = ''
  demo.stdout.on('data', (text) => (stdout += String(text)))
  demo.stderr.on('data', (text) => (stderr += String(text)))
  const done = (): number => Number([...stdout.matchAll(/^(\d+) of \d+$/gm)].at(-1)?.[1] ?? 0)

  await eventually(() => done() > 0 || demo.exitCode !== null, { within: 30_000, what: 'the first tenth of the files' })
  await server.stop()
  expect(done(), stderr).toBeLessThan(FILES) // else it was no restart in the middle
  await server.start()

  expect({ exit: await exited, stderr }).toMatchObject({ exit: [0, null] }) // which shows what was said
  expect(stdout).toMatch(/kill -9 \d+: worker-\d had [1-9]\d* calls at work/)
  expect(stdout).toMatch(/^240 files, 240 results, 0 lost, \d+ run again$/m)
  expect(stdout).toMatch(/file by file: 0 differ/)
  expect(stdout.match(/killed \(SIGKILL\)/g)).toHaveLength(1)
  expect(stdout.match(/drained/g)).toHaveLength(2)
}

/** Small enough to be made at once, enough work that the server goes and comes back in the middle of it. */
function makeFiles(): string {
  const dir = mkdtempSync(join(tmpdir(), 'replyto-demo-test-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  for (let file = 0; file < FILES; file++)
    writeFileSync(join(dir, `file-${file}`), `some words on line ${file}\n`.repeat(20_000))
  return dir
}
