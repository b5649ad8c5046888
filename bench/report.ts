import { spreadOf, type Spread } from './driver.ts'
import type { DiskFigures } from './disk.ts'
import { numbers, pairsOf, type BenchFigures, type Figure } from './figures.ts'
import { CALL_LOADS, KEYS, type CallFigures, type KeyFigures, type QueueFigures } from './run-pair.ts'
import type { RestFigures } from './rest.ts'
import { subjectsAt, TITLES, type SubjectName } from './subject.ts'
import { targetLines } from './targets.ts'
import { ms, percent, rate, ratio, spread, table } from './text.ts'

/** The report as text: tables of medians (min–max), ratios against the references, and whether the targets are met. */
export function reportOf(figures: BenchFigures): string {
  const ours = pairsOf(figures, 'replyto')
  return [
    ...CALL_LOADS.filter(({ name }) => ours.some((pair) => pair.calls[name] !== undefined)).map((load) =>
      callTable(figures, load),
    ),
    ...(ours.some((pair) => pair.queue !== undefined) ? [queueTable(figures)] : []),
    ...(ours.some((pair) => pair.keys !== undefined) ? [keysTable(figures)] : []),
    ...(ours.some((pair) => pair.rest !== undefined) ? [restTable(figures)] : []),
    diskLine(figures.disk),
    targetLines(figures),
  ].join('\n\n')
}

function callTable(figures: BenchFigures, { name: load, outstanding, size }: (typeof CALL_LOADS)[number]): string {
  const { broker } = figures
  const of = (name: SubjectName, field: keyof CallFigures): Spread =>
    spreadOf(numbers(pairsOf(figures, name).map((pair) => pair.calls[load]?.[field])))
  const rows = subjectsAt(broker).map((name) => [
    titleOf(name, broker),
    spread(of(name, 'callsPerS'), rate),
    spread(of(name, 'p50Ms'), ms),
    spread(of(name, 'p99Ms'), ms),
    of(name, 'cpuSecondsPer1000').median.toFixed(3),
    ratio(of('replyto', 'callsPerS').median, of(name, 'callsPerS').median),
    ratio(of('replyto', 'p50Ms').median, of(name, 'p50Ms').median),
    String(pairsOf(figures, name).reduce((sum, pair) => sum + (pair.calls[load]?.errors ?? 0), 0)),
  ])
  const head = ['', 'calls/s', 'p50 ms', 'p99 ms', 'CPU s/1000', 'ours/it: rate', 'ours/it: p50', 'errors']
  const title = `${load}: ${outstanding === 1 ? 'one call after the other' : `${outstanding} calls outstanding`}`
  return table(size === 'large' ? `${title}, 10 kB each way` : title, [head, ...rows])
}

function queueTable(figures: BenchFigures): string {
  const { broker } = figures
  const of = (name: SubjectName, field: keyof QueueFigures): Spread =>
    spreadOf(numbers(pairsOf(figures, name).map((pair) => pair.queue?.[field])))
  const named = subjectsAt(broker).filter((name) => name !== 'tcp')
  const rows = named.map((name) => [
    titleOf(name, broker),
    spread(of(name, 'enqueuePerS'), rate),
    spread(of(name, 'drainPerS'), rate),
    of(name, 'cpuSecondsPer1000').median.toFixed(3),
    ratio(of('replyto', 'enqueuePerS').median, of(name, 'enqueuePerS').median),
    ratio(of('replyto', 'drainPerS').median, of(name, 'drainPerS').median),
    String(pairsOf(figures, name).reduce((sum, pair) => sum + (pair.queue?.errors ?? 0), 0)),
  ])
  const head = ['', 'enqueue/s', 'drain/s', 'CPU s/1000', 'ours/it: enqueue', 'ours/it: drain', 'errors']
  const sends = of('replyto', 'sends').median.toLocaleString('en')
  return table(`W4: ${sends} durable sends, 1,000 outstanding; then drained by one worker`, [head, ...rows])
}

/** The price of order: what as many calls cost without keys. */
function keysTable(figures: BenchFigures): string {
  const { broker } = figures
  const ours = pairsOf(figures, 'replyto')
  const of = (kind: keyof KeyFigures, field: keyof CallFigures): Spread =>
    spreadOf(numbers(ours.map((pair) => pair.keys?.[kind][field])))
  const rows = (['unkeyed', 'keyed'] as const).map((kind) => [
    `${titleOf('replyto', broker)}, ${kind}`,
    spread(of(kind, 'callsPerS'), rate),
    spread(of(kind, 'p50Ms'), ms),
    spread(of(kind, 'p99Ms'), ms),
    of(kind, 'cpuSecondsPer1000').median.toFixed(3),
    String(ours.reduce((sum, pair) => sum + (pair.keys?.[kind].errors ?? 0), 0)),
  ])
  const count = KEYS.toLocaleString('en')
  return [
    table(`W5: ${count} calls outstanding, of ${count} keys and without`, [
      ['', 'calls/s', 'p50 ms', 'p99 ms', 'CPU s/1000', 'errors'],
      ...rows,
    ]),
    keysLine(spreadOf(numbers(ours.map(costOfKeys))).median),
  ].join('\n')
}

const MOST_FOR_KEYS = 1.3

/** Time per call with keys by time per call without, of one run. */
const costOfKeys: Figure = ({ keys }) => keys && keys.unkeyed.callsPerS / keys.keyed.callsPerS

function keysLine(cost: number): string {
  return `  ${cost <= MOST_FOR_KEYS ? 'met ' : 'MISS'}  a keyed call takes ${cost.toFixed(2)} × the time of an unkeyed one; target ≤ ${MOST_FOR_KEYS} ×`
}

/** `ready` and what follows: since the client was made. Only the library tells when its first call is stored. */
function restTable(figures: BenchFigures): string {
  const { broker } = figures
  const of = (name: SubjectName, field: keyof RestFigures): Spread =>
    spreadOf(numbers(pairsOf(figures, name).map((pair) => pair.rest?.[field])))
  const rows = subjectsAt(broker).map((name) => [
    titleOf(name, broker),
    spread(of(name, 'clientCpu'), percent),
    spread(of(name, 'workerCpu'), percent),
    spread(of(name, 'readyMs'), ms),
    spread(of(name, 'answeredMs'), ms),
    ...(name === 'replyto'
      ? [spread(of(name, 'publishedMs'), ms), spread(of(name, 'firstPublishedMs'), ms)]
      : ['', '']),
  ])
  const head = [
    '',
    'client CPU',
    'worker CPU',
    'ready ms',
    'call answered ms',
    'stored ms',
    'stored ms, very first client',
  ]
  return table('at rest: share of a core with nothing to do; and how long a client takes', [head, ...rows])
}

function diskLine(disk: readonly DiskFigures[]): string {
  const p50 = spreadOf(disk.map((run) => run.p50Ms))
  const p99 = spreadOf(disk.map((run) => run.p99Ms))
  return `disk: append of 400 B and fdatasync: p50 ${spread(p50, ms)} ms, p99 ${spread(p99, ms)} ms`
}

const titleOf = (name: SubjectName, broker: string): string =>
  name === 'replyto' ? `${TITLES.replyto} ${broker}` : TITLES[name]
