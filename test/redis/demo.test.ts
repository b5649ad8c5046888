import { inject, onTestFinished, test } from 'vitest'
import { DEMO_LIMIT_MS, runDemoOverRestart } from '../support/demo.ts'
import { startRedis } from '../support/redis.ts'

const { hasPackage } = inject('redis')

test.skipIf(!hasPackage)(
  'the demo loses nothing when a worker is killed and the server is restarted in the middle',
  async () => {
    const server = await startRedis()
    onTestFinished(() => server.end())
    await runDemoOverRestart(server)
  },
  DEMO_LIMIT_MS,
)
