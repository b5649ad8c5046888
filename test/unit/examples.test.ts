import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

// The examples as a newcomer runs them: processes of their own, on the compiled package.

const DEMO = join('dist', 'examples', 'demo', 'main.js')
const LIMIT_MS = 60_000

interface Ended {
  readonly code: number | string | null | undefined
  readonly stdout: string
  readonly stderr: string
}

function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { timeout: LIMIT_MS, env: { ...process.env, ...env } }
    execFile(process.execPath, [...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr })
    })
  })
}

describe('quick start', () => {
  it(
    'prints what the worker answered and ends by itself',
    async () => {
      expect(await run([join('examples', 'quick-start.mjs')])).toEqual({
        code: 0,
        stdout: 'Hello, world!\n',
        stderr: '',
      })
    },
    LIMIT_MS,
  )
})

describe('streams', () => {
  it(
    'prints what it reads, and that leaving the loop ended the generator',
    async () => {
      expect(await run([join('examples', 'streams.mjs')])).toEqual({
        code: 0,
        stdout: '3\n2\n1\n999961\n999979\n999983\nthe generator of primes has ended\n',
        stderr: '',
      })
    },
    LIMIT_MS,
  )
})

describe('demo', () => {
  const base = mkdtempSync(join(tmpdir(), 'examples-test-'))
  const input = join(base, 'input')
  const env = { TMPDIR: join(base, 'tmp') }

  beforeAll(() => {
    if (!existsSync(DEMO)) throw new Error('npm run build makes what this test runs')
    mkdirSync(env.TMPDIR)
    mkdirSync(join(input, 'sub'), { recursive: true })
    // large enough that workers have calls at work when one is killed
    for (let file = 0; file < 60; file++)
      writeFileSync(
        join(input, file % 2 === 0 ? '' : 'sub', `file-${file}`),
        `some words on line ${file}\n`.repeat(8_000),
      )
    writeFileSync(join(input, 'empty'), '')
    symlinkSync('nowhere', join(input, 'link'))
  })
  afterAll(() => rmSync(base, { recursive: true, force: true }))

  it(
    'loses nothing when a worker is killed, and agrees with one process',
    async () => {
      const { code, stdout, stderr } = await run([DEMO, input], env)
      expect(stderr).toBe('')
      expect(stdout).toMatch(/kill -9 \d+: worker-\d had [1-9]\d* calls at work/)
      expect(stdout).toMatch(/^61 files, 61 results, 0 lost, [1-9]\d* run again$/m)
      expect(stdout).toMatch(/file by file: 0 differ/)
      expect(stdout.match(/killed \(SIGKILL\)/g)).toHaveLength(1)
      expect(stdout.match(/drained/g)).toHaveLength(2)
      expect(code).toBe(0)
    },
    LIMIT_MS,
  )

  it(
    'ends in order on SIGINT, without a process or a directory left',
    async () => {
      const demo = spawn(process.execPath, [DEMO], { env: { ...process.env, ...env }, detached: true })
      const group = -(demo.pid ?? Number.NaN)
      try {
        await once(demo.stdout, 'data')
        demo.kill('SIGINT')
        expect(await once(demo, 'exit')).toEqual([130, null])
        await expect.poll(() => isAlive(group), { timeout: 5_000 }).toBe(false)
      } finally {
        if (isAlive(group)) process.kill(group, 'SIGKILL')
      }
      expect((await run(['-p', 'fs.readdirSync(os.tmpdir())'], env)).stdout).toBe('[]\n')
    },
    LIMIT_MS,
  )

  it(
    'says what is wrong with its arguments',
    async () => {
      for (const args of [['--workers', '1'], ['a', 'b'], ['--nonsense'], ['--broker', 'memory:x']]) {
        const { code, stderr } = await run([DEMO, ...args])
        expect(stderr).toMatch(/npm run demo --/)
        expect(code).toBe(2)
      }
    },
    LIMIT_MS,
  )
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
