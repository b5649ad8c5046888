import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { expect, test, vi } from 'vitest'
import { loadLibrary, openLibrary } from '../../../broker-adapters/kafka/library.ts'
import { resolveKafkaOptions } from '../../../broker-adapters/kafka/options.ts'

// What the adapter leans on in the insides of kafkajs. Where this fails, another version has come: see library.ts.

const require = createRequire(import.meta.url)
const pkg = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  readonly peerDependencies: Readonly<Record<string, string>>
} // ours

test('it is the version that is known, and no other is asked for', () => {
  const { version, exports } = require('kafkajs/package.json') as { version: string; exports?: unknown } // npm wants one
  expect(version).toMatch(/^2\.2\.\d+$/)
  expect(exports).toBeUndefined() // its insides can be required
  expect(pkg.peerDependencies['kafkajs']).toMatch(/^~2\.2\./)
})

/** Of each request the number of its kind, and the newest version that the adapter knows the answers of. */
const REQUESTS = {
  Produce: [0, 7],
  Fetch: [1, 11],
  ListOffsets: [2, 3],
  Metadata: [3, 6],
  OffsetCommit: [8, 5],
  OffsetFetch: [9, 4],
  CreateTopics: [19, 3],
} as const

test.each(Object.entries(REQUESTS))('%s is a request of the versions that are known', (name, [key, newest]) => {
  const { requests, apiKeys } = loadLibrary()
  const versions = (requests as Readonly<Record<string, { readonly versions: readonly unknown[] }>>)[name]?.versions // of the library
  expect((apiKeys as Readonly<Record<string, number>>)[name]).toBe(key)
  expect(Math.max(...(versions ?? []).map(Number))).toBe(newest)
})

test('errors have the names of the protocol', () => {
  const { errorOf } = loadLibrary()
  const codes = {
    3: 'UNKNOWN_TOPIC_OR_PARTITION',
    6: 'NOT_LEADER_FOR_PARTITION',
    22: 'ILLEGAL_GENERATION',
    27: 'REBALANCE_IN_PROGRESS',
  }
  for (const [code, name] of Object.entries(codes)) expect(errorOf(Number(code)).type).toBe(name)
})

test('it makes nodes that answer to what is asked of them', async () => {
  const library = openLibrary(resolveKafkaOptions({ url: 'kafka://127.0.0.1:1' }), { use: 'test', onClosed: () => {} })
  await expect(library.dial()).rejects.toMatchObject({ name: 'KafkaJSConnectionError' })
  await expect(library.dial({ host: '127.0.0.1', port: 1, nodeId: 1 })).rejects.toThrow('ECONNREFUSED')
  const Broker = require('kafkajs/src/broker') as { readonly prototype: object } // of the version that was checked
  const asked = ['isConnected', 'connect', 'disconnect', 'findGroupCoordinator', 'joinGroup', 'syncGroup', 'heartbeat']
  const more = ['leaveGroup', 'describeGroups', 'describeConfigs', 'deleteTopics', 'deleteRecords']
  for (const name of [...asked, ...more])
    expect([name, typeof Reflect.get(Broker.prototype, name)]).toEqual([name, 'function'])
  expect([library.errorName(0), library.errorName(3)]).toEqual([undefined, 'UNKNOWN_TOPIC_OR_PARTITION'])
  library.destroy()
})

test('records of transactions that were given up are left out, all others stay', () => {
  const { withoutAborted } = loadLibrary()
  const of = (producerId: string, offset: string, isControlRecord = false) =>
    ({
      offset,
      isControlRecord,
      key: isControlRecord ? Buffer.alloc(4) : null,
      batchContext: { producerId, inTransaction: true },
    }) as never // all that it reads
  const messages = [of('7', '0'), of('8', '1'), of('7', '2', true), of('7', '3')]
  const left = withoutAborted({ messages, abortedTransactions: [{ producerId: '7', firstOffset: '0' }] })
  expect(left.map(({ offset }) => offset)).toEqual(['1', '2', '3'])
  expect(withoutAborted({ messages, abortedTransactions: [] })).toHaveLength(4)
})

test('a connection that waits for nothing looks for nothing', () => {
  loadLibrary()
  const Queue = require('kafkajs/src/network/requestQueue') as new (options: object) => Looking // of the version that was checked
  const queue = new Queue({ maxInFlightRequests: null, requestTimeout: 1_000, clientId: 'c', broker: 'b', logger: {} })
  expect([queue.pending, queue.throttledUntil, queue.throttleCheckTimeoutId]).toEqual([[], -1, null])
  queue.scheduleCheckPendingRequests()
  expect(queue.throttleCheckTimeoutId).toBeNull()
  queue.throttledUntil = Date.now() + 60_000
  queue.scheduleCheckPendingRequests()
  expect(queue.throttleCheckTimeoutId).not.toBeNull()
  queue.destroy()
  clearTimeout(queue.throttleCheckTimeoutId ?? undefined)
})

test('an answer that is overdue is given up, and a connection that is gone is not looked at any more', async () => {
  loadLibrary()
  const Queue = require('kafkajs/src/network/requestQueue') as new (options: object) => Looking // of the version that was checked
  let isConnected = true
  const queue = new Queue({
    enforceRequestTimeout: true,
    requestTimeout: 100,
    logger: {},
    isConnected: () => isConnected,
  })
  queue.scheduleRequestTimeoutCheck()
  const timedOut = await new Promise<string>((resolve) => {
    const about = (name: string, sentAt: number) => ({
      sentAt,
      requestTimeout: 100,
      timeoutRequest: () => resolve(name),
    })
    queue.inflight.set(1, about('in time', Date.now() + 60_000))
    queue.inflight.set(2, about('late', Date.now() - 101))
  })
  expect(timedOut).toBe('late')
  const ended = vi.spyOn(queue, 'destroy')
  isConnected = false
  await expect.poll(() => ended.mock.calls.length).toBe(1)
})

interface Looking {
  readonly pending: readonly unknown[]
  throttledUntil: number
  readonly throttleCheckTimeoutId: NodeJS.Timeout | null
  readonly inflight: Map<number, object>
  scheduleCheckPendingRequests(): void
  scheduleRequestTimeoutCheck(): void
  destroy(): void
}
