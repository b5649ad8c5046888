import { bringUp, takeDown, whatRuns } from '../../scripts/brokers/bring-up.ts'
import type { TestBroker } from '../../scripts/brokers/broker.ts'

/** What the tests of a broker get of the run that they are in. */
export interface ServerForTests {
  /** One server for all, which none of them may stop or configure; undefined: there is none. */
  readonly url: string | undefined
  readonly whyNot: string | undefined
  /** Servers of one's own can be started: the system has the package. */
  readonly hasPackage: boolean
}

/** In CI what the tests need may be installed, and is there or the run fails. */
export const isCi = process.env['CI'] === 'true'

/** Brings a server up before the tests; `tearDown` takes it down if it was not there before. */
export async function setUpServer(
  broker: TestBroker,
): Promise<{ readonly server: ServerForTests; readonly tearDown: () => Promise<void> }> {
  const wasUp = whatRuns(broker) !== undefined
  const tearDown = async (): Promise<void> => {
    if (!wasUp) await takeDown(broker)
  }
  try {
    const { url } = await bringUp(broker, { mayInstall: isCi })
    return { server: { url, whyNot: undefined, hasPackage: broker.isInstalled() }, tearDown }
  } catch (error) {
    if (isCi) throw error
    return { server: { url: undefined, whyNot: sayOf(error), hasPackage: false }, tearDown }
  }
}

export function sayOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
