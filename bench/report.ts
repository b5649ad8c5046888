import { spreadOf, type Spread } from './driver.ts'
import type { DiskFigures } from './disk.ts'
import { CALL_LOADS, KEYS, type CallFigures, type KeyFigures, type PairFigures, type QueueFigures } from './run-pair.ts'
import { isAmqp, isRedis, subjectsAt, type SubjectName } from './subject.ts'

/** All that was measured, run by run. */
export interface BenchFigures {
  readonly broker: string
  /** Of what `subjectsAt` names. */
  readonly runs: Readonly<Partial<Record<SubjectName, readonly PairFigures[]>>>
  readonly disk: readonly DiskFigures[]
}

const TITLES: Readonly<Record<SubjectName, string>> = {
  replyto: 'replyto',
  lmdb: 'bare LMDB queue, fsync per commit, reply by socket',
  tcp: 'TCP on the loopback, JSON lines, nothing durable',
  'amqplib-quorum': 'bare amqplib, confirms, quorum queue',
  'amqplib-classic': 'bare amqplib, confirms, classic queue',
  bullmq: 'BullMQ, add and waitUntilFinished',
  'redis-streams': 'bare streams of Redis',
}

interface Target {
  readonly text: string
  readonly figure: Figure
  readonly bound: number
  readonly isUpper: boolean
}

type Figure = (pair: PairFigures) => number | undefined

const p50Of =
  (load: string): Figure =>
  (pair) =>
    pair.calls[load]?.p50Ms
const rateOf =
  (load: string): Figure =>
  (pair) =>
    pair.calls[load]?.callsPerS

const enqueueOf: Figure = (pair) => pair.queue?.enqueuePerS
const drainOf: Figure = (pair) => pair.queue?.drainPerS

interface Targets {
  readonly against: SubjectName
  readonly list: readonly Target[]
}

const OF_FILE: Targets = {
  against: 'lmdb',
  list: [
    { text: 'W1 p50', figure: p50Of('W1'), bound: 2.5, isUpper: true },
    { text: 'W2 calls/s', figure: rateOf('W2'), bound: 0.3, isUpper: false },
    { text: 'W4 enqueue/s', figure: enqueueOf, bound: 0.2, isUpper: false },
  ],
}
const OF_AMQP: Targets = {
  against: 'amqplib-quorum',
  list: [
    { text: 'W1 p50', figure: p50Of('W1'), bound: 1.2, isUpper: true },
    { text: 'W2 calls/s', figure: rateOf('W2'), bound: 0.8, isUpper: false },
    { text: 'W3 calls/s', figure: rateOf('W3'), bound: 0.8, isUpper: false },
    { text: 'W4 enqueue/s', figure: enqueueOf, bound: 0.8, isUpper: false },
    { text: 'W4 drain/s', figure: drainOf, bound: 0.8, isUpper: false },
  ],
}
const OF_REDIS: Targets = {
  against: 'bullmq',
  list: [
    { text: 'W1 p50', figure: p50Of('W1'), bound: 1.2, isUpper: true },
    { text: 'W2 calls/s', figure: rateOf('W2'), bound: 1.5, isUpper: false },
    { text: 'W4 enqueue/s', figure: enqueueOf, bound: 0.8, isUpper: false },
    { text: 'W4 drain/s', figure: drainOf, bound: 0.8, isUpper: false },
  ],
}

function targetsAt(broker: string): Targets | undefined {
  if (isAmqp(broker)) return OF_AMQP
  if (isRedis(broker)) return OF_REDIS
  return broker.startsWith('file:') ? OF_FILE : undefined
}

/** The report as text: tables of medians (min–max), ratios against the references, and whether the targets are met. */
export function reportOf(figures: BenchFigures): string {
  const ours = pairsOf(figures, 'replyto')
  return [
    ...CALL_LOADS.filter(({ name }) => ours.some((pair) => pair.calls[name] !== undefined)).map(
      ({ name, outstanding }) => callTable(figures, name, outstanding),
    ),
    ...(ours.some((pair) => pair.queue !== undefined) ? [queueTable(figures)] : []),
    ...(ours.some((pair) => pair.keys !== undefined) ? [keysTable(figures)] : []),
    diskLine(figures.disk),
    targetLines(figures),
  ].join('\n\n')
}

function callTable(figures: BenchFigures, load: string, outstanding: number): string {
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
  return table(title, [head, ...rows])
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

function diskLine(disk: readonly DiskFigures[]): string {
  const p50 = spreadOf(disk.map((run) => run.p50Ms))
  const p99 = spreadOf(disk.map((run) => run.p99Ms))
  return `disk: append of 400 B and fdatasync: p50 ${spread(p50, ms)} ms, p99 ${spread(p99, ms)} ms`
}

function targetLines(figures: BenchFigures): string {
  const targets = targetsAt(figures.broker)
  if (targets === undefined) return 'targets: they are set for file:, amqp: and redis: only'
  const { against, list } = targets
  const ours = pairsOf(figures, 'replyto')
  const measured = list.filter(({ figure }) => numbers(ours.map(figure)).length > 0)
  const lines = measured.map(({ text, figure, bound, isUpper }) => {
    const mine = spreadOf(numbers(ours.map(figure))).median
    const bare = spreadOf(numbers(pairsOf(figures, against).map(figure))).median
    const isMet = isUpper ? mine <= bound * bare : mine >= bound * bare
    return `  ${isMet ? 'met ' : 'MISS'}  ${text}: ${ratio(mine, bare)} of ${TITLES[against]}; target ${isUpper ? '≤' : '≥'} ${bound} ×`
  })
  return ['targets', ...lines].join('\n')
}

function pairsOf({ runs }: BenchFigures, name: SubjectName): readonly PairFigures[] {
  return runs[name] ?? []
}

const titleOf = (name: SubjectName, broker: string): string =>
  name === 'replyto' ? `${TITLES.replyto} ${broker}` : TITLES[name]

function numbers(values: readonly (number | string | undefined)[]): number[] {
  return values.filter((value) => typeof value === 'number')
}

const rate = (value: number): string => (value < 10_000 ? value.toFixed(0) : `${(value / 1000).toFixed(1)}k`)
const ms = (value: number): string => value.toFixed(value < 10 ? 2 : 1)
const ratio = (ours: number, it: number): string => `${(ours / it).toFixed(2)} ×`
const spread = ({ min, median, max }: Spread, text: (value: number) => string): string =>
  `${text(median)} (${text(min)}–${text(max)})`

function table(title: string, rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  '),
  )
  return [title, ...lines].join('\n')
}
