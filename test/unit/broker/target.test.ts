import { resolve } from 'node:path'
import { expect, test, vi } from 'vitest'
import { readTarget, type TargetOption } from '../../../broker-adapters/target.ts'
import { createScripted } from '../../support/scripted-adapter.ts'

test.each([
  ['file:./x', resolve('x')],
  ['file:x/y', resolve('x/y')],
  ['file:/var/x', '/var/x'],
  ['file:///var/x', '/var/x'],
  ['FILE:./x', resolve('x')],
  ['file:~x', resolve('~x')],
  ['file:a%20b', resolve('a%20b')],
])('%s is the directory %s', (url, dir) => {
  expect(readTarget(url).url).toBe(`file:${dir}`)
})

test('amqp, with TLS or without, also the nodes of a cluster, are shown without secrets', () => {
  expect(readTarget('amqp://me:secret@host/x').url).toBe('amqp://***@host/x')
  expect(readTarget(['amqps://a', 'AMQPS://me:secret@b']).url).toMatch(/^amqps:\/\/a,AMQPS:\/\/\*\*\*@b$/)
})

test('kafka, also several nodes, in one URL or in an array, is shown without secrets', () => {
  expect(readTarget('kafka://me:secret@a:9092').url).toBe('kafka://***@a:9092')
  expect(readTarget('kafka://me:secret@a,b:9093').url).toBe('kafka://***@a,kafka://b:9093')
  expect(readTarget(['kafka://a', 'kafka://me:secret@b']).url).toBe('kafka://a,kafka://***@b')
})

test('memory:name, one URL in an array, and what an adapter gives', () => {
  expect(readTarget('memory:a.b-c').url).toBe('memory:a.b-c')
  expect(readTarget(['memory:']).url).toBe('memory:')
  expect(readTarget(createScripted().target).url).toBe('scripted://broker')
})

test.each<[TargetOption | object | number, RegExp]>([
  ['', /no broker has a URL like ""/],
  ['localhost', /known are file:<directory>/],
  ['redis2://x', /redis2/],
  ['file:', /names no directory/],
  ['file://', /names no directory/],
  ['file:a\0b', /NUL/],
  ['memory:a/b', /memory broker's name/],
  [['memory:a', 'memory:b'], /several nodes/],
  [['amqp://a', 'memory:b'], /several nodes/],
  ['amqp://a:b:c', /no URL like amqp/],
  ['kafka://a,b:c:d', /no URL like kafka/],
  [[], /an array without a URL/],
  [5, /got number/],
  [{}, /got object/],
  [{ '~adapter': 'x', create: () => 1 }, /got object/],
])('%j is no target', (target, message) => {
  expect(() => readTarget(target as TargetOption)).toThrow(message)
  expect(() => readTarget(target as TargetOption)).toThrow(/^\[CONFIG\]/)
})

test.each([
  'nats://me:secret@host/x',
  'nats://me:se/secret@host/x',
  'nats://me:se@secret@host/x',
  'me:secret@host',
  'nats:me:secret@host',
  'nats://host/x?password=secret',
  `nats://me:secret${'x'.repeat(300)}@host`,
])('%s keeps its password', (url) => {
  expect(() => readTarget(url)).toThrow(/^(?!.*secret)/)
  let text = ''
  try {
    readTarget(url)
  } catch (error) {
    text = String(error)
  }
  expect(text).toContain('no broker has a URL like')
  expect(text).not.toContain('secret')
})

test('no target is REPLYTO_URL, which an error names, else file:./.replyto', () => {
  vi.stubEnv('REPLYTO_URL', 'memory:from-env')
  expect(readTarget(undefined).url).toBe('memory:from-env')
  expect(readTarget('memory:given').url).toBe('memory:given')
  vi.stubEnv('REPLYTO_URL', 'wrong')
  expect(() => readTarget(undefined)).toThrow('REPLYTO_URL: no broker')
  vi.stubEnv('REPLYTO_URL', undefined)
  expect(readTarget(undefined).url).toBe(`file:${resolve('.replyto')}`)
  vi.unstubAllEnvs()
})
