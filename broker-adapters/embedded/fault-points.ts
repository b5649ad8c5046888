import { writeSync } from 'node:fs'

/*
 * Named places at which a test has the process of a hub killed. They cost nothing otherwise: without the variable,
 * which is read once per thread, passing one is a call of an empty function.
 */
export const FAULT_POINTS = [
  'intent taken',
  'before listen',
  'after listen',
  'stand-by promoted',
  'before link',
  'after link',
  'snapshot written',
  'snapshot renamed',
  'store opened',
  'store claimed',
  'store loaded',
  'journal written',
  'journal renamed',
  'half cleaned up',
  'before commit',
  'commit begun',
  'commit stored',
  'journal flushed',
  'confirm sent',
  'close begun',
  'store closed',
  'release marked',
] as const
export type FaultPoint = (typeof FAULT_POINTS)[number]

/** `<point>` or `<point>:<n>`, for the n-th time that it is passed; with `!` before it an error is thrown instead, as by a defect. */
export const FAULT_VARIABLE = 'REPLYTO_TEST_KILL_AT'

/** Called at each of the places. */
export const passFaultPoint: (point: FaultPoint) => void = createFaultPoints(process.env[FAULT_VARIABLE])

/** Throws RangeError for a place that does not exist: a test that kills nothing proves nothing. */
export function createFaultPoints(wanted: string | undefined): (point: FaultPoint) => void {
  if (wanted === undefined) return nothing
  const isDefect = wanted.startsWith('!')
  const [name, times = '1'] = wanted.slice(isDefect ? 1 : 0).split(':')
  if (!FAULT_POINTS.some((point) => point === name) || !(Number(times) >= 1))
    throw new RangeError(`${FAULT_VARIABLE}: there is no '${wanted}'`)
  let left = Number(times)
  return (point) => {
    if (point !== name || --left > 0) return
    if (isDefect) throw new TypeError(`a defect at ${point}`)
    writeSync(2, `killed at ${point}\n`)
    process.kill(process.pid, 'SIGKILL')
  }
}

export function nothing(): void {}
