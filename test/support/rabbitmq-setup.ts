import type { TestProject } from 'vitest/node'
import { bringUp, takeDown, whatRuns } from '../../scripts/brokers/bring-up.ts'
import { findPython } from '../../scripts/brokers/pika.ts'
import { RABBITMQ } from '../../scripts/brokers/rabbitmq.ts'

/** What the tests of RabbitMQ get of the run that they are in. */
export interface RabbitmqForTests {
  /** One server for all, which none of them may stop or configure; undefined: there is none. */
  readonly url: string | undefined
  readonly whyNot: string | undefined
  /** Servers of one's own can be started: the system has the package. */
  readonly hasPackage: boolean
}

/** Of the examples in Python. */
export interface PythonForTests {
  /** One that has pika; undefined: there is none. */
  readonly command: string | undefined
  readonly whyNot: string | undefined
}

declare module 'vitest' {
  export interface ProvidedContext {
    rabbitmq: RabbitmqForTests
    python: PythonForTests
  }
}

/** Brings a server up before the tests of RabbitMQ, and down after them if it was not there before. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const isCi = process.env['CI'] === 'true'
  const wasUp = whatRuns(RABBITMQ) !== undefined
  provide('python', lookForPython(isCi))
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

function lookForPython(isCi: boolean): PythonForTests {
  try {
    return { command: findPython({ mayInstall: isCi }), whyNot: undefined }
  } catch (error) {
    if (isCi) throw error
    return { command: undefined, whyNot: error instanceof Error ? error.message : String(error) }
  }
}
