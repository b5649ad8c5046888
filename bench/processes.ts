import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Answer, Command } from './side.ts'

/** A child process of the benchmark. Every child is ended by its id, whatever happens. */
export interface Side {
  readonly pid: number
  /** Rejects if the child answers an error, ends, or takes longer. */
  ask(command: Command, limitMs?: number): Promise<Answer>
  /** Closes what runs in it, then ends it; kills it if it does not go. */
  end(): Promise<void>
}

const ASK_LIMIT_MS = 30_000
const END_LIMIT_MS = 5_000

const running = new Set<() => void>()

/** Ends what is left, at once. */
export function killSides(): void {
  for (const kill of running) kill()
}

/** @param nodeArgs options of node, such as those of its profiler */
export function startSide(nodeArgs: readonly string[]): Side {
  const child = fork(fileURLToPath(new URL('./side.js', import.meta.url)), [], {
    execArgv: [...nodeArgs],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const kill = (): void => void child.kill('SIGKILL')
  running.add(kill)
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => {
      running.delete(kill)
      resolve()
    })
  })

  function ask(command: Command, limitMs = ASK_LIMIT_MS): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => settle(() => reject(new Error(`${command.do}: ${why}`)))
      const onExit = (): void => fail(`the process ended, ${child.signalCode ?? `exit code ${child.exitCode}`}`)
      const onAnswer = (answer: Answer): void =>
        answer.error === undefined ? settle(() => resolve(answer)) : fail(answer.error)
      const timer = setTimeout(() => fail(`no answer within ${limitMs} ms`), limitMs)
      const settle = (how: () => void): void => {
        clearTimeout(timer)
        child.off('exit', onExit).off('message', onAnswer)
        how()
      }
      child.once('exit', onExit).once('message', onAnswer)
      if (child.connected) child.send(command)
      else onExit()
    })
  }

  return {
    pid: child.pid ?? 0,
    ask,
    async end() {
      const timer = setTimeout(kill, END_LIMIT_MS)
      try {
        if (child.connected) await ask({ do: 'close' }, END_LIMIT_MS)
      } catch (error) {
        console.error(`process ${child.pid}: ${error instanceof Error ? error.message : String(error)}`)
      }
      if (child.connected) child.disconnect()
      await exited
      clearTimeout(timer)
    },
  }
}
