import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface Child {
  readonly name: string
  readonly pid: number
  /** Resolves with the first line on stdout that begins with this word; rejects if it ends before, or after some time. */
  line(word: string): Promise<string>
  tell(command: 'finish' | 'close' | 'exit' | 'stop'): void
  /** Of its client or worker, now. */
  counters(): Promise<Readonly<Record<string, number>>>
  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): void
  /** Its exit code; null after a signal. Rejects after some time. */
  ended(): Promise<number | null>
  readonly isRunning: boolean
  /** It said that each of its calls has ended. */
  readonly hasFinished: boolean
  /** The test killed it, froze it or told it to exit: what ran in it may run again. */
  readonly isHarmed: boolean
  readonly unexpectedEnd: string | undefined
  /** It, or what it runs, is meant to end it. */
  expectEnd(): void
  describe(): string
  /** Ends it in any state. */
  destroy(): Promise<void>
}

/** More than anything should take on busy cores. */
const LIMIT_MS = 15_000
const SHOWN_CHARS = 3_000

export function watchChild(
  name: string,
  { process: child, onStrike }: { readonly process: ChildProcess; readonly onStrike: (what: string) => void },
): Child {
  const { stdin, stdout, stderr, pid } = child
  if (stdin === null || stdout === null || stderr === null || pid === undefined)
    throw new Error(`${name} did not start`)
  const lines: string[] = []
  const listeners = new Set<() => void>()
  let errors = ''
  let isHarmed = false
  let isEndExpected = false
  let ending: { readonly code: number | null; readonly signal: string | null } | undefined
  const tellListeners = (): void => listeners.forEach((listener) => listener())

  createInterface({ input: stdout }).on('line', (line) => {
    lines.push(line)
    tellListeners()
  })
  stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-SHOWN_CHARS)))
  stdin.on('error', (error) => (errors += `\n(stdin: ${error.message})`)) // it ended meanwhile
  // 'close' comes after the last line on stdout.
  const closed = new Promise<void>((resolve) => {
    child.once('close', (code, signal) => {
      ending = { code, signal }
      tellListeners()
      resolve()
    })
  })

  return {
    name,
    pid,
    line: (word) => lineFrom(0, word),
    tell(command) {
      isEndExpected = true
      if (command === 'exit') isHarmed = true
      onStrike(command)
      stdin.write(`${command}\n`)
    },
    async counters() {
      const from = lines.length
      stdin.write('counters\n')
      const line = await lineFrom(from, 'counters')
      return JSON.parse(line.slice('counters '.length)) as Record<string, number> // what commands.ts says
    },
    signal(signal) {
      if (signal !== 'SIGCONT') isEndExpected ||= signal !== 'SIGSTOP'
      if (signal === 'SIGKILL' || signal === 'SIGSTOP') isHarmed = true
      onStrike(signal)
      child.kill(signal)
    },
    async ended() {
      await waitFor(() => (ending === undefined ? undefined : true), 'its end')
      return ending?.code ?? null
    },
    get isRunning() {
      return ending === undefined
    },
    get hasFinished() {
      return lines.some((line) => line.startsWith('finished'))
    },
    get isHarmed() {
      return isHarmed
    },
    get unexpectedEnd() {
      return ending === undefined || isEndExpected ? undefined : describe()
    },
    expectEnd() {
      isEndExpected = true
      isHarmed = true
    },
    describe,
    async destroy() {
      if (ending === undefined) child.kill('SIGKILL')
      await closed
    },
  }

  function lineFrom(from: number, word: string): Promise<string> {
    return waitFor(() => lines.slice(from).find((line) => line.split(' ')[0] === word), `'${word}'`)
  }

  function waitFor<T>(look: () => T | undefined, what: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer)
        listeners.delete(check)
      }
      const check = (): void => {
        const found = look()
        if (found === undefined && ending === undefined) return
        done()
        if (found === undefined) reject(new Error(`${describe()}\nended before ${what}`))
        else resolve(found)
      }
      const timer = setTimeout(() => {
        done()
        reject(new Error(`${describe()}\ngave no sign of ${what} within ${LIMIT_MS} ms`))
      }, LIMIT_MS)
      listeners.add(check)
      check()
    })
  }

  function describe(): string {
    const state = ending === undefined ? 'running' : `ended with ${ending.signal ?? ending.code}`
    return [`${name} (${pid}) ${state}`, ...(errors === '' ? [] : [errors.trimEnd()])].join('\n')
  }
}
