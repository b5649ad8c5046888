import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { embedded, type EmbeddedOptions } from '../../../broker-adapters/embedded/index.ts'

test('the directory is resolved when the factory is made, and names the broker', () => {
  expect(embedded({ dir: './queues' }).url).toBe(`file:${resolve('queues')}`)
  expect(embedded({ dir: '/tmp/x', durability: 'process' }).create().capabilities.storedMeans).toBe('page cache')
  expect(embedded({ dir: '/tmp/x' }).create().capabilities.storedMeans).toBe('disk')
})

test.each([
  [{ dir: '' }, "'dir'"],
  [{ dir: 'x', host: 'always' }, '"auto" or "never", got "always"'],
  [{ dir: 'x', durability: 'memory' }, '"disk" or "process"'],
  [{ dir: 'x', maxBytes: 10 }, "'maxBytes' must be a whole number from 1048576"],
  [{ dir: 'x', silenceMs: Number.NaN }, "'silenceMs'"],
  [{ dir: 'x', peerSilenceMs: 1 }, 'leave it out for 30000'],
])('options that cannot be are refused with field, value and range: %j', (options, text) => {
  expect(() => embedded(options as EmbeddedOptions)).toThrow(expect.objectContaining({ code: 'CONFIG' }) as Error)
  expect(() => embedded(options as EmbeddedOptions)).toThrow(text)
})
