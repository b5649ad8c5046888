import { parseArgs } from 'node:util'

export interface DemoOptions {
  /** undefined: files of the installed packages. */
  readonly dir: string | undefined
  /** undefined: the embedded broker in a fresh directory. */
  readonly broker: string | undefined
  readonly workers: number
}

export const USAGE = `npm run demo -- [dir] [--broker URL] [--workers N]
  dir           default: the first 3,000 files up to 1 MiB below the installed node_modules, caches apart
  --broker URL  default: file: in a fresh directory, which is removed at the end
  --workers N   2 to 64, default 3; one of them is killed`

/** @throws TypeError for what is not an option, RangeError for a value that cannot be used */
export function readOptions(args: readonly string[]): DemoOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { broker: { type: 'string' }, workers: { type: 'string', default: '3' } },
  })
  const workers = Number(values.workers)
  if (!Number.isSafeInteger(workers) || workers < 2 || workers > 64)
    throw new RangeError(`--workers is a whole number from 2 to 64; got ${values.workers}`)
  if (positionals.length > 1) throw new RangeError(`one directory at most; got ${positionals.join(', ')}`)
  if (values.broker?.startsWith('memory:'))
    throw new RangeError(
      'a memory: broker lives in one process, and the workers of this demo are processes of their own',
    )
  return { dir: positionals[0], broker: values.broker, workers }
}
