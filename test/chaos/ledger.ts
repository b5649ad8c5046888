import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { eventually } from '../support/eventually.ts'
import { ledgerFile } from './programs/ledger-file.ts'

/** One run of a handler. */
export interface Run {
  readonly attempt: number
  readonly pid: number
  isEnded: boolean
}

/** What the ledger says of one key. */
export interface Story {
  readonly runs: Run[]
  /** Of a call that was made in a process of its own. */
  kind: string | undefined
  readonly outcomes: { readonly code: string; readonly executed: string | undefined }[]
  isSent: boolean
}

/** Reads what the processes write. */
export interface Ledger {
  stories(): ReadonlyMap<string, Story>
  /** An empty one if nothing is known of the key. */
  story(key: string): Story
  /** The last lines, for people. */
  tail(count: number): string
  /** Each strike of the test, and every line about these keys, with their places in the ledger. */
  excerpt(keys: readonly string[]): string
  /** Waits until a handler was entered for each key, `times` times. */
  begun(keys: readonly string[], times?: number): Promise<void>
  /** Waits until so many more calls were answered. */
  answered(count: number): Promise<void>
  /** Waits until so many sends are confirmed. */
  sent(count: number): Promise<void>
}

const WITHIN_MS = 15_000

export function readLedger(root: string): Ledger {
  const stories = new Map<string, Story>()
  const lines: string[] = []
  const counts = { answers: 0, sent: 0 }
  const buffer = Buffer.allocUnsafe(1024 * 1024)
  let offset = 0
  let rest = ''

  return {
    stories() {
      refresh()
      return stories
    },
    story(key) {
      refresh()
      return stories.get(key) ?? emptyStory()
    },
    tail(count) {
      refresh()
      return lines.slice(-count).join('\n')
    },
    excerpt(keys) {
      const isWanted = (line: string): boolean => line.startsWith('strike ') || keys.includes(line.split(' ')[1] ?? '')
      return lines.flatMap((line, index) => (isWanted(line) ? [`${index}: ${line}`] : [])).join('\n')
    },
    async begun(keys, times = 1) {
      await until(() => keys.every((key) => (stories.get(key)?.runs.length ?? 0) >= times), `${keys.join(', ')} began`)
    },
    async answered(count) {
      refresh()
      const goal = counts.answers + count
      await until(() => counts.answers >= goal, `${count} more answers`)
    },
    async sent(count) {
      await until(() => counts.sent >= count, `${count} confirmed sends`)
    },
  }

  async function until(isTrue: () => boolean, what: string): Promise<void> {
    const look = (): boolean => {
      refresh()
      return isTrue()
    }
    await eventually(look, { what, within: WITHIN_MS })
  }

  function refresh(): void {
    if (!existsSync(ledgerFile(root))) return
    const file = openSync(ledgerFile(root), 'r')
    for (;;) {
      const size = readSync(file, buffer, 0, buffer.length, offset)
      if (size === 0) break
      offset += size
      const parts = (rest + buffer.toString('latin1', 0, size)).split('\n')
      rest = parts.pop() ?? ''
      for (const line of parts) readLine(line)
    }
    closeSync(file)
  }

  function readLine(line: string): void {
    lines.push(line)
    const [kind = '', key = '', first = '', second = ''] = line.split(' ')
    if (kind === 'odd') throw new Error(`a process noted something odd: ${line}`)
    if (kind === 'strike') return
    let story = stories.get(key)
    if (story === undefined) stories.set(key, (story = emptyStory()))
    if (kind === 'begin') story.runs.push({ attempt: Number(first), pid: Number(second), isEnded: false })
    else if (kind === 'end') endRun(story, Number(first), Number(second))
    else if (kind === 'made') story.kind = first
    else if (kind === 'ok' || kind === 'error') {
      counts.answers++
      story.outcomes.push(kind === 'ok' ? { code: 'ok', executed: undefined } : { code: first, executed: second })
    } else if (kind === 'sent') {
      counts.sent++
      story.isSent = true
    } else if (kind === 'unsent') story.outcomes.push({ code: first, executed: second })
  }
}

function endRun({ runs }: Story, attempt: number, pid: number): void {
  const run = runs.find((run) => run.attempt === attempt && run.pid === pid && !run.isEnded)
  if (run === undefined) throw new Error(`a run of attempt ${attempt} in process ${pid} ended that never began`)
  run.isEnded = true
}

function emptyStory(): Story {
  return { runs: [], kind: undefined, outcomes: [], isSent: false }
}
