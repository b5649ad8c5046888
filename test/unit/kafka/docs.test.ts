import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { resolveKafkaOptions } from '../../../broker-adapters/kafka/options.ts'
import { createTopics, workQueue } from '../../../broker-adapters/kafka/topics.ts'

// docs/kafka.md says what stands at a server. This makes all of it from the code and compares.

const text = readFileSync(new URL('../../../docs/kafka.md', import.meta.url), 'utf8')
const rows = text.split('\n').filter((line) => line.startsWith('| `'))
const firstCells = rows.map((row) => /^\| `([^`]+)`/.exec(row)?.[1] ?? '')

test('each topic is there, with its partitions and retention, and no other', () => {
  const options = resolveKafkaOptions({ url: 'kafka://h', partitions: 111, replyPartitions: 222, retentionMs: 333_000 })
  const topics = createTopics('nn', options)
  const features = { keyed: true, priority: true, frames: false }
  const queue = workQueue('nn', { group: 'gg', service: 'ss', major: 'v7', features })
  const { reply, kept, control, delay, delayPurges } = topics
  const all = [
    ...topics.work(queue),
    topics.notes(queue, 111),
    topics.dead(queue),
    topics.paused(queue),
    reply,
    kept,
    control,
    delay,
    delayPurges,
  ]
  const shown = all.flatMap((topic) => {
    if (topic === undefined) return []
    const name = topic.topic.replace(queue.name, '<queue>').replace(/^nn\./, '<ns>.')
    const partitions = name.endsWith('.notes')
      ? 'as `<queue>`'
      : { 111: '`partitions`', 222: '`replyPartitions`' }[topic.partitions]
    const retention = topic.configs['retention.ms'] ?? ''
    const told: Record<string, string> = {
      '333000': '`retentionMs`',
      [options.maxKeepMs + 86_400_000]: '`maxKeepMs` + 86400000',
    }
    return [`| \`${name}\` | ${partitions ?? topic.partitions} | ${told[retention] ?? retention} |`]
  })
  for (const row of shown) expect(text).toContain(row)
  expect(rows.filter((row) => /^\| `<(?:queue|ns)>[^`]*` \|/.test(row))).toHaveLength(shown.length)
  for (const topic of all)
    expect(Object.entries(topic?.configs ?? {}).filter(([name]) => name !== 'retention.ms')).toEqual([
      ['cleanup.policy', 'delete'],
      ['message.timestamp.type', 'LogAppendTime'],
      ['compression.type', 'producer'],
    ])
})

test('each option has its default', () => {
  const { nodes: _, url: __, ssl, sasl, ...others } = resolveKafkaOptions({ url: 'kafka://h' })
  expect([ssl, sasl]).toEqual([undefined, undefined])
  for (const name of ['url', 'ssl', 'sasl', ...Object.keys(others)]) expect(firstCells).toContain(name)
  for (const [name, value] of Object.entries(others))
    expect(text).toContain(`| \`${name}\` | ${value.toLocaleString('en-US')} |`)
})
