import type { CallsReport } from './calls.ts'
import type { DemoWorker } from './workers.ts'

/** Per worker: what it answered and how it ended. */
export function workerTable(workers: readonly DemoWorker[], { byWorker }: CallsReport): string {
  const rows = workers.map((worker) => {
    const { files, bytes } = byWorker.get(worker.name) ?? { files: 0, bytes: 0 }
    return [worker.name, String(worker.pid), String(files), (bytes / 1024 / 1024).toFixed(1), worker.state()]
  })
  const all = [['worker', 'pid', 'files', 'MiB', 'ended'], ...rows]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 || column === 4 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** The figures in one line each. A call without a result is lost, whatever the reason. */
export function summary(files: number, report: CallsReport, runAgain: ReadonlySet<string>): string {
  const { results, elapsedMs, killed } = report
  const rate = Math.round((files / elapsedMs) * 1000)
  const unreadable = [...results.values()].filter((result) => 'unreadable' in result).length
  const lines = [
    `${(elapsedMs / 1000).toFixed(1)} s, ${rate} calls/s${unreadable > 0 ? `, ${unreadable} files unreadable` : ''}`,
    `${files} files, ${results.size} results, ${files - results.size} lost, ${runAgain.size} run again`,
  ]
  if (killed !== undefined) lines.push(describeRunAgain(killed.held, runAgain))
  return lines.join('\n')
}

function describeRunAgain(held: ReadonlySet<string>, runAgain: ReadonlySet<string>): string {
  const atWork = [...runAgain].filter((callId) => held.has(callId)).length
  const rest = runAgain.size - atWork
  const others = rest === 0 ? '' : `; ${rest} more had been computed, but their results were not stored yet`
  return `run again: ${atWork} of the ${held.size} calls that the killed worker had at work${others}`
}
