import { BrokerError } from '../../protocol/errors.ts'
import type { AdapterContext, Capabilities } from '../adapter.ts'
import type { Session } from './dial.ts'
import type { RedisNode } from './options.ts'

/** What is read of `INFO`: https://redis.io/docs/latest/commands/info/ */
export interface ServerFacts {
  readonly version: string
  readonly isReplica: boolean
  readonly evicts: string | undefined
  readonly hasAppendOnlyFile: boolean
  /** When its append-only file reaches the disk: always, everysec, no; undefined: it may not be asked. */
  readonly sync: string | undefined
}

/** Older ones lack `XADD NOMKSTREAM`. */
const OLDEST = [6, 2] as const

export function readInfo(info: string, sync: string | undefined): ServerFacts {
  const fields = new Map(
    info.split(/\r?\n/).flatMap((line) => {
      const at = line.indexOf(':')
      return at < 1 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const]
    }),
  )
  const policy = fields.get('maxmemory_policy')
  return {
    version: fields.get('redis_version') ?? '0.0.0',
    isReplica: fields.get('role') === 'slave',
    evicts: policy === undefined || policy === 'noeviction' ? undefined : policy,
    hasAppendOnlyFile: fields.get('aof_enabled') !== '0',
    sync,
  }
}

/** Rejects if it can be no broker, as an error that may cross the seam; says what it may lose. */
export async function checkServer(
  { commands }: Session,
  node: RedisNode,
  { hasOthers, log }: { readonly hasOthers: boolean; readonly log: AdapterContext['log'] },
): Promise<ServerFacts> {
  const facts = readInfo(await commands.info(), await readSync(commands))
  const [major = 0, minor = 0] = facts.version.split('.').map(Number)
  const isNewEnough = major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])
  if (!isNewEnough)
    throw new BrokerError(
      'BROKER_REFUSED',
      `${node.shown}: the server is Redis ${facts.version}; ${OLDEST.join('.')} or newer is needed`,
    )
  if (facts.isReplica)
    throw new BrokerError(
      hasOthers ? 'BROKER_UNAVAILABLE' : 'BROKER_REFUSED',
      `${node.shown} is a read-only replica: give the URL of its primary, or both, redis({ url: [one, other] })`,
    )
  if (facts.evicts !== undefined)
    log(
      'warn',
      'REDIS_EVICTION',
      `maxmemory-policy is ${facts.evicts}: when memory is full, calls and replies are thrown away; set it to noeviction`,
    )
  if (!facts.hasAppendOnlyFile)
    log(
      'warn',
      'REDIS_PERSISTENCE',
      'appendonly is off: what was stored since the last snapshot is lost when the server ends; set appendonly yes',
    )
  else if (facts.sync === 'no')
    log(
      'warn',
      'REDIS_PERSISTENCE',
      'appendfsync is no: when the machine fails, what the system had not written yet is lost; set it to everysec or always',
    )
  return facts
}

/** Hosted servers do not let themselves be asked. */
async function readSync(commands: Session['commands']): Promise<string | undefined> {
  try {
    const [, value]: unknown[] = (await commands.config('GET', 'appendfsync')) as unknown[]
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

export function storedMeans(facts: ServerFacts | undefined): Capabilities['storedMeans'] {
  if (facts?.hasAppendOnlyFile === false) return 'memory'
  if (facts?.sync === 'always') return 'disk'
  return facts?.sync === 'no' ? 'page cache' : 'disk within 1 s'
}
