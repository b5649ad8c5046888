import { resolve } from 'node:path'

/** What we start, and what we remember of it, is below this directory. */
export const HOME = resolve('.brokers')

/** A broker that the project's own tests, demo and benchmark can have brought up. */
export interface TestBroker {
  readonly name: string
  /** Names a server that is there already, which is then used and left alone. */
  readonly variable: string
  /** In docker-compose.yml. */
  readonly service: string
  /** Where that one is reached. */
  readonly composeUrl: string
  /** Debian's packages, to be installed where they are missing. */
  readonly packages: readonly string[]
  /** It can be brought up as several nodes, by us; `docker compose` has one. */
  readonly hasNodes?: boolean | undefined
  isInstalled(): boolean
  /** Starts one of the system's package in this directory; gives what `stop` and `isRunning` need, as plain data. */
  start(dir: string, options: { readonly nodes: number }): Promise<{ readonly url: string }>
  isRunning(facts: unknown): boolean
  /** Ends it and removes its data. */
  stop(facts: unknown): Promise<void>
}
