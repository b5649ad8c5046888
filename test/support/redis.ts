import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  cli,
  createServer,
  killServer,
  removeServer,
  startServer,
  stopServer,
} from '../../scripts/brokers/redis-server.ts'

export interface RedisOptions {
  /** Lines of redis.conf; `user …` makes a user. */
  readonly config?: string | undefined
  /** It begins as a replica of this one. */
  readonly replicaOf?: OwnRedis | undefined
}

/** A server of a test's own, which it may stop, kill and configure. */
export interface OwnRedis {
  readonly url: string
  readonly port: number
  /** `redis-cli`, to this server; what it prints. Throws where the server answers with an error. */
  cli(...args: readonly string[]): Promise<string>
  /** As an operator does; its data stays. */
  stop(): Promise<void>
  /** Again, on its port and with its data. */
  start(): Promise<void>
  /** `kill -9`. */
  kill(): Promise<void>
  /** Ends it and removes its data. */
  end(): Promise<void>
}

export async function startRedis({ config = '', replicaOf }: RedisOptions = {}): Promise<OwnRedis> {
  const dir = mkdtempSync(join(tmpdir(), 'replyto-redis-'))
  const following = replicaOf === undefined ? '' : `replicaof 127.0.0.1 ${replicaOf.port}\n`
  const facts = await createServer({ dir, config: `${following}${config}` })
  return {
    url: facts.url,
    port: facts.port,
    cli: (...args) => cli(facts, ...args),
    stop: () => stopServer(facts),
    start: () => startServer(facts),
    kill: () => killServer(facts),
    end: () => removeServer(facts),
  }
}
