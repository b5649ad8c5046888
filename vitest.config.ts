import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** Tests that start processes of their own: a few at a time, as they share the cores with what they start. */
const WITH_PROCESSES = [
  'test/conformance/**/*.test.ts',
  'test/chaos/**/*.test.ts',
  'test/sweep/**/*.test.ts',
  'test/rabbitmq/**/*.test.ts',
  'test/redis/**/*.test.ts',
  'test/kafka/**/*.test.ts',
  'test/unit/embedded/disk-full.test.ts',
  'test/unit/embedded/namespaces.test.ts',
  'test/unit/embedded/takeover.test.ts',
  'test/unit/embedded/reconnect.test.ts',
  'test/unit/embedded/kept-over-hubs.test.ts',
  'test/unit/examples.test.ts',
]

/** On a real server, which is brought up for them. */
const RABBITMQ = ['test/conformance/rabbitmq.test.ts', 'test/rabbitmq/**/*.test.ts']
const REDIS = ['test/conformance/redis.test.ts', 'test/redis/**/*.test.ts']
const KAFKA = ['test/conformance/kafka.test.ts', 'test/kafka/**/*.test.ts']

/** Compilers and Nodes of other people, two at a time, as a compiler fills a core. */
const CONSUMERS = 'test/consumers/**/*.test.ts'

const shared = { testTimeout: 20_000, hookTimeout: 20_000, unstubGlobals: true }

export default defineConfig({
  resolve: {
    alias: [
      { find: /^replyto$/, replacement: source('./index.ts') },
      { find: /^replyto\/contract$/, replacement: source('./contract/index.ts') },
      { find: /^replyto\/embedded$/, replacement: source('./broker-adapters/embedded/index.ts') },
      { find: /^replyto\/memory$/, replacement: source('./broker-adapters/memory/index.ts') },
      { find: /^replyto\/testing$/, replacement: source('./testing/index.ts') },
      { find: /^replyto\/rabbitmq$/, replacement: source('./broker-adapters/rabbitmq/index.ts') },
      { find: /^replyto\/redis$/, replacement: source('./broker-adapters/redis/index.ts') },
      { find: /^replyto\/kafka$/, replacement: source('./broker-adapters/kafka/index.ts') },
      { find: /^replyto\/adapter$/, replacement: source('./broker-adapters/index.ts') },
    ],
  },
  test: {
    dangerouslyIgnoreUnhandledErrors: false,
    projects: [
      {
        extends: true,
        test: {
          ...shared,
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['dist/**', 'node_modules/**', ...WITH_PROCESSES, ...RABBITMQ, ...REDIS, ...KAFKA, CONSUMERS],
          maxWorkers: 2, // on 2 cores Vitest would take one
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          ...shared,
          name: 'processes',
          include: WITH_PROCESSES,
          exclude: [...RABBITMQ, ...REDIS, ...KAFKA],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          ...shared,
          // Sixty confirmed steps, one after the other, take their time at a server that syncs each of them.
          testTimeout: 40_000,
          name: 'rabbitmq',
          include: RABBITMQ,
          globalSetup: ['test/support/rabbitmq-setup.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          ...shared,
          name: 'redis',
          include: REDIS,
          globalSetup: ['test/support/redis-setup.ts'],
          maxWorkers: 3, // with the consumers: here it is mostly waited, there computed
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          ...shared,
          name: 'kafka',
          include: KAFKA,
          globalSetup: ['test/support/kafka-setup.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 4 },
        },
      },
      {
        extends: true,
        test: {
          ...shared,
          name: 'consumers',
          include: [CONSUMERS],
          maxConcurrency: 2,
          maxWorkers: 3,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
})
