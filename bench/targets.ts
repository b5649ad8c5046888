import { spreadOf } from './driver.ts'
import { numbers, pairsOf, type BenchFigures, type Figure } from './figures.ts'
import { isAmqp, isKafka, isRedis, TITLES, type SubjectName } from './subject.ts'
import { ms, percent, ratio } from './text.ts'

interface Target {
  readonly text: string
  readonly figure: Figure
  readonly bound: number
  readonly isUpper: boolean
}

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

/** Something of ours alone. */
interface Limit {
  readonly text: string
  readonly figure: Figure
  readonly limit: number
  readonly show: (value: number) => string
}

interface Targets {
  readonly against: SubjectName
  readonly list: readonly Target[]
  readonly limits?: readonly Limit[]
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

const OF_KAFKA: Targets = {
  against: 'kafkajs-tick',
  list: [
    { text: 'W1 p50', figure: p50Of('W1'), bound: 1.3, isUpper: true },
    { text: 'W2 calls/s', figure: rateOf('W2'), bound: 0.8, isUpper: false },
    { text: 'W3 calls/s', figure: rateOf('W3'), bound: 0.8, isUpper: false },
    { text: 'W6 calls/s', figure: rateOf('W6'), bound: 1, isUpper: false },
  ],
  limits: [
    { text: 'a client at rest', figure: ({ rest }) => rest?.clientCpu, limit: 0.01, show: percent },
    { text: 'a worker at rest', figure: ({ rest }) => rest?.workerCpu, limit: 0.01, show: percent },
    {
      text: "a client's first call is stored after",
      figure: ({ rest }) => rest?.publishedMs,
      limit: 300,
      show: (value) => `${ms(value)} ms`,
    },
  ],
}

function targetsAt(broker: string): Targets | undefined {
  if (isAmqp(broker)) return OF_AMQP
  if (isRedis(broker)) return OF_REDIS
  if (isKafka(broker)) return OF_KAFKA
  return broker.startsWith('file:') ? OF_FILE : undefined
}

/** Whether they are met, as far as they were measured. */
export function targetLines(figures: BenchFigures): string {
  const targets = targetsAt(figures.broker)
  if (targets === undefined) return 'targets: they are set for file:, amqp:, redis: and kafka: only'
  const { against, list, limits = [] } = targets
  const medianOf = (name: SubjectName, figure: Figure): number =>
    spreadOf(numbers(pairsOf(figures, name).map(figure))).median
  const isMeasured = ({ figure }: { readonly figure: Figure }): boolean =>
    numbers(pairsOf(figures, 'replyto').map(figure)).length > 0
  const lines = list.filter(isMeasured).map(({ text, figure, bound, isUpper }) => {
    const mine = medianOf('replyto', figure)
    const bare = medianOf(against, figure)
    const isMet = isUpper ? mine <= bound * bare : mine >= bound * bare
    return `${said(isMet)}  ${text}: ${ratio(mine, bare)} of ${TITLES[against]}; target ${isUpper ? '≤' : '≥'} ${bound} ×`
  })
  const ofOurs = limits.filter(isMeasured).map(({ text, figure, limit, show }) => {
    const mine = medianOf('replyto', figure)
    return `${said(mine <= limit)}  ${text}: ${show(mine)}; target ≤ ${show(limit)}`
  })
  return ['targets', ...lines, ...ofOurs].join('\n')
}

const said = (isMet: boolean): string => (isMet ? '  met ' : '  MISS')
