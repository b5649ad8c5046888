import { expect, test } from 'vitest'
import { defineService, method, type } from '../../../contract/index.ts'
import { checkedReplyAddresses, createReplyAddressCheck } from '../../../worker/reply-addresses.ts'
import { until } from './support/caller.ts'
import { runWorker } from './support/run-worker.ts'

test.each<[string, readonly string[], boolean]>([
  ['ns.in.p1.1', [], true],
  ['ns.', [], true],
  ['ns', [], false],
  ['nsx.in.1', [], false],
  ['other.in.1', [], false],
  ['ns.q.default.images.v1', [], false],
  ['ns.q.default.images.v1', ['*'], false],
  ['ns.in.\n', [], false],
  ['ns.in. x', [], false],
  ['ns.in.ü', [], false],
  [`ns.${'x'.repeat(509)}`, [], true],
  [`ns.${'x'.repeat(510)}`, [], false],
  ['', ['*'], false],
  ['partner.replies', ['partner.replies'], true],
  ['partner.replies.1', ['partner.replies'], false],
  ['partner.replies.1', ['partner.replies.*'], true],
  ['xpartner.replies.1', ['partner.replies.*'], false],
  ['amq.gen-a.b', ['amq.gen-*.*b'], true],
  ['aba', ['ab*ba'], false],
  ['abba', ['ab*ba'], true],
  ['abcba', ['ab*b*ba'], false],
  ['a.c', ['x', 'a.*', 'y'], true],
  ['a.c', ['a?c', 'a+c', '.*'], false],
])('%s, allowed %j: %s', (address, patterns, isAllowed) => {
  expect(createReplyAddressCheck('ns', patterns)(address)).toBe(isAllowed)
})

test('a pattern of many stars takes no time', () => {
  expect(createReplyAddressCheck('ns', ['a*'.repeat(250)])(`${'a'.repeat(500)}b`)).toBe(true)
  expect(createReplyAddressCheck('ns', [`${'a*'.repeat(250)}c`])('a'.repeat(512))).toBe(false)
})

test.each(['x', 5, null, [5], [''], ['a b'], ['x'.repeat(513)], ['a\n']])('%j is no list of addresses', (value) => {
  expect(() => checkedReplyAddresses(value)).toThrow(/^\[CONFIG\] replyAddresses must be an array/)
})

const service = defineService('s', { methods: { go: method({ input: type<string>(), output: type<string>() }) } })

test('bound: a call whose reply address is not allowed is run and settled, not answered, counted and warned of once', async () => {
  const runs: string[] = []
  const written: string[] = []
  await using run = await runWorker(
    service,
    { go: (input) => (runs.push(input), input) },
    {
      options: { replyAddresses: ['partner.*'] },
      bend: (adapter) => ({
        ...adapter,
        reply: (address, replies) => (written.push(address), adapter.reply(address, replies)),
      }),
    },
  )
  const refused = ['other.in.1', 'replyto.q.default.s.v1', 'replyto.in.\r\n', `replyto.${'x'.repeat(600)}`, 'amq.gen-1']
  for (const replyTo of refused) await run.caller.publish('go', { input: replyTo, message: { replyTo } })
  await run.caller.publish('go', { input: 'partner', message: { replyTo: 'partner.1' } })
  expect(await run.caller.call('go', { input: 'own' })).toMatchObject({ value: 'own' })
  await until(() => run.worker.counters['completed'] === refused.length + 2, 'all are settled')
  expect(runs.toSorted()).toEqual([...refused, 'partner', 'own'].toSorted())
  expect(new Set(written.filter((address) => !address.startsWith('replyto.in.p')))).toEqual(new Set(['partner.1']))
  expect(run.worker.counters).toMatchObject({ refusedReplyAddress: refused.length, completed: refused.length + 2 })
  expect(run.log.filter(({ code }) => code === 'REPLY_ADDRESS')).toHaveLength(1)
  expect(await run.caller.deadLetters()).toEqual([])
})
