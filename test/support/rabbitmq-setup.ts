import type { TestProject } from 'vitest/node'
import { bringUp, takeDown, whatRuns } from '../../scripts/brokers/bring-up.ts'
import { RABBITMQ } from '../../scripts/brokers/rabbitmq.ts'

/** What the tests of RabbitMQ get of the run that they are in. */
export interface RabbitmqForTests {
  /** One server for all, which none of them may stop or configure; undefined: there is none. */
  readonly url: string | undefined
  readonly whyNot: string | undefined
  /** Servers of one's own can be started: the system has the package. */
  readonly hasPackage: boolean
}

declare module 'vitest' {
  export interface ProvidedContext {
    rabbitmq: RabbitmqForTests
  }
}

/** Brings a server up before the tests of RabbitMQ, and down after them if it was not there before. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const isCi = process.env['CI'] === 'true'
  const wasUp = whatRuns(RABBITMQ) !== undefined
  try {
    const { url } = await bringUp(RABBITMQ, { mayInstall: isCi })
    provide('rabbitmq', { url, whyNot: undefined, hasPackage: RABBITMQ.isInstalled() })
  } catch (error) {
    if (isCi) throw error
    provide('rabbitmq', {
      url: undefined,
      whyNot: error instanceof Error ? error.message : String(error),
      hasPackage: false,
    })
  }
  return async () => {
    if (!wasUp) await takeDown(RABBITMQ)
  }
}
