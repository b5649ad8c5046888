import { expect, inject, onTestFinished, test } from 'vitest'
import { DEMO_LIMIT_MS, NOTHING_LOST, runDemoOverRestart } from '../support/demo.ts'
import { startKafka } from '../support/kafka.ts'

const { hasPackage } = inject('kafka')

test.skipIf(!hasPackage)(
  'the demo loses nothing when a worker is killed and the server is restarted in the middle',
  async () => {
    const server = await startKafka()
    onTestFinished(() => server.end())
    expect(await runDemoOverRestart(server)).toMatchObject(NOTHING_LOST)
  },
  DEMO_LIMIT_MS,
)
