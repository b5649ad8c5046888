import type { CallsReport } from './calls.ts'
import type { DemoWorker, Killed } from './workers.ts'

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
  if (killed !== undefined) lines.push(describeRunAgain(killed, runAgain))
  return lines.join('\n')
}

function describeRunAgain({ name, held, begun }: Killed, runAgain: ReadonlySet<string>): string {
  const again = [...runAgain]
  const atWork = again.filter((callId) => held.has(callId)).length
  const done = again.filter((callId) => begun.has(callId) && !held.has(callId)).length
  const others = again.length - atWork - done
  return [
    `run again: ${atWork} of the ${held.size} calls that ${name} had at work`,
    ...(done === 0 ? [] : [`${done} that it had computed without the result being stored yet`]),
    ...(others === 0 ? [] : [`${others} that it had never begun`]),
  ].join(', ')
}
