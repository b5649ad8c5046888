import { parseArgs } from 'node:util'

export interface BenchOptions {
  /** What is measured. `file:` alone: a fresh directory for each pair of processes. */
  readonly broker: string
  readonly runs: number
  /** Of each load in each run. */
  readonly seconds: number
  /** Which of `LOADS`. */
  readonly loads: ReadonlySet<string>
  /** Of W4. */
  readonly sends: number
  /** Where the directories are made: on the disk that is to be measured. */
  readonly dir: string
  /** Where the figures go as JSON. */
  readonly json: string | undefined
  /** Options of node for the processes that are measured. */
  readonly nodeArgs: readonly string[]
}

const LOADS: readonly string[] = ['W1', 'W2', 'W3', 'W4', 'W5', 'W6', 'rest']

export const USAGE = `npm run bench -- [options]
  --broker URL    file: (default), file:<directory>, amqp://<server>, redis://<server>, kafka://<server>,
                  or memory:<name>, whose client and worker share a process
  --runs N        default 3; figures are medians
  --seconds S     of each load in each run, default 2
  --loads LIST    default W1,W2,W3,W4,W5,W6,rest
  --quick         one short run: a smoke test, no figures to rely on
  --dir DIR       where to make the directories, default .replyto: the disk that is measured
  --json FILE     writes all figures
  --profile DIR   writes CPU profiles of the processes that are measured`

/** @throws TypeError for what is not an option, RangeError for a number out of range */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      broker: { type: 'string', default: 'file:' },
      runs: { type: 'string' },
      seconds: { type: 'string' },
      loads: { type: 'string', default: LOADS.join() },
      quick: { type: 'boolean', default: false },
      dir: { type: 'string', default: '.replyto' },
      json: { type: 'string' },
      profile: { type: 'string' },
    },
  })
  return {
    broker: values.broker,
    runs: numberFrom('runs', values.runs, values.quick ? 1 : 3),
    seconds: numberFrom('seconds', values.seconds, values.quick ? 0.5 : 2),
    loads: loadsFrom(values.loads),
    sends: values.quick ? 5_000 : 50_000,
    dir: values.dir,
    json: values.json,
    nodeArgs: values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`],
  }
}

function numberFrom(name: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text)
  if (!(value > 0 && value <= 600)) throw new RangeError(`--${name} is a number above 0 and up to 600; got ${text}`)
  return value
}

function loadsFrom(list: string): ReadonlySet<string> {
  const loads = list.split(',')
  const unknown = loads.find((load) => !LOADS.includes(load))
  if (unknown !== undefined) throw new RangeError(`--loads are ${LOADS.join(', ')}; got ${unknown}`)
  return new Set(loads)
}
