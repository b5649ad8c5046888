import type { TestProject } from 'vitest/node'
import { findPython } from '../../scripts/brokers/pika.ts'
import { RABBITMQ } from '../../scripts/brokers/rabbitmq.ts'
import { isCi, sayOf, setUpServer, type ServerForTests } from './server-setup.ts'

/** Of the examples in Python. */
export interface PythonForTests {
  /** One that has pika; undefined: there is none. */
  readonly command: string | undefined
  readonly whyNot: string | undefined
}

declare module 'vitest' {
  export interface ProvidedContext {
    rabbitmq: ServerForTests
    python: PythonForTests
  }
}

/** Brings a server up before the tests of RabbitMQ, and down after them if it was not there before. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  provide('python', lookForPython())
  const { server, tearDown } = await setUpServer(RABBITMQ)
  provide('rabbitmq', server)
  return tearDown
}

function lookForPython(): PythonForTests {
  try {
    return { command: findPython({ mayInstall: isCi }), whyNot: undefined }
  } catch (error) {
    if (isCi) throw error
    return { command: undefined, whyNot: sayOf(error) }
  }
}
