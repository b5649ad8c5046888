import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { channelOf, OWN, workQueue } from '../../../broker-adapters/redis/keys.ts'
import { resolveRedisOptions } from '../../../broker-adapters/redis/options.ts'
import { NEEDED_COMMANDS } from '../../../broker-adapters/redis/rights.ts'

// docs/redis.md says what stands at a server and what a user needs there. This compares it with the code.

const text = readFileSync(new URL('../../../docs/redis.md', import.meta.url), 'utf8')
const rows = text.split('\n').filter((line) => line.startsWith('| `'))
const firstCells = rows.map((row) => /^\| `([^`]+)`/.exec(row)?.[1] ?? '')

test('the commands that a user needs are all there, and no other', () => {
  const named = [...text.matchAll(/ \+([a-z]+)(?= |$)/gm)].map(([, name = '']) => name.toUpperCase())
  expect(named).toEqual([...NEEDED_COMMANDS])
  expect(new Set(named).size).toBe(named.length)
})

test('each key of ours is there', () => {
  const queue = workQueue('nn', {
    group: 'gg',
    service: 'ss',
    major: 'v7',
    features: { keyed: true, priority: true, frames: false },
  })
  const shown = (part: string): string => queue.key(part).replaceAll(queue.name, '<queue>')
  const keys = Object.values(OWN).map((part) => shown(part.endsWith(':') ? `${part}<key>` : part))
  expect(firstCells).toEqual(expect.arrayContaining([shown('*'), ...keys]))
  expect(firstCells.filter((cell) => cell.includes(':rt:')).toSorted()).toEqual(keys.toSorted())
  expect(text).toContain(`\`${channelOf('<ns>', '<topic>')}\``)
})

test('each option has its default', () => {
  const {
    nodes: _,
    isCluster: __,
    ioredis: ___,
    maxMessageBytes,
    ...others
  } = resolveRedisOptions({ url: 'redis://h' })
  expect(firstCells).toEqual(
    expect.arrayContaining(['url', 'cluster', 'ioredis', 'maxMessageBytes', ...Object.keys(others)]),
  )
  expect(text).toContain(`| \`maxMessageBytes\` | ${maxMessageBytes / 1024 ** 2} MiB |`)
  for (const [name, value] of Object.entries(others))
    expect(text).toContain(`| \`${name}\` | ${value.toLocaleString('en-US')} |`)
})

test('each command of our scripts is among them', () => {
  const scripts = readFileSync(new URL('../../../broker-adapters/redis/scripts.ts', import.meta.url), 'utf8')
  const called = [...scripts.matchAll(/call\('([A-Z]+)'/g)].map(([, name = '']) => name)
  expect(called.length).toBeGreaterThan(50)
  expect([...new Set(called)].filter((name) => !NEEDED_COMMANDS.includes(name))).toEqual([])
})
