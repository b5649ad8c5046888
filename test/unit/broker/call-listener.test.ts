import { expect, test, vi } from 'vitest'
import { createGuard } from '../../../broker-adapters/call-listener.ts'

test.each([
  [
    'throws',
    () => {
      throw new Error('oops')
    },
  ],
  ['rejects with', () => Promise.reject(new Error('oops'))],
])('what a listener %s is logged by its name, and ends nothing', async (_, run) => {
  const log = vi.fn()
  createGuard(log)('onReply', run)
  await expect.poll(() => log.mock.calls).toEqual([['error', 'LISTENER', 'onReply threw: Error: oops']])
})
