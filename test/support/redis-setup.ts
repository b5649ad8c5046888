import type { TestProject } from 'vitest/node'
import { REDIS } from '../../scripts/brokers/redis.ts'
import { setUpServer, type ServerForTests } from './server-setup.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    redis: ServerForTests
  }
}

/** Brings a server up before the tests of Redis, and down after them if it was not there before. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const { server, tearDown } = await setUpServer(REDIS)
  provide('redis', server)
  return tearDown
}
