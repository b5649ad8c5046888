import type { TestProject } from 'vitest/node'
import { KAFKA } from '../../scripts/brokers/kafka.ts'
import { setUpServer, type ServerForTests } from './server-setup.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    kafka: ServerForTests
  }
}

/** Brings a server up before the tests of Kafka, and down after them if it was not there before. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const { server, tearDown } = await setUpServer(KAFKA)
  provide('kafka', server)
  return tearDown
}
