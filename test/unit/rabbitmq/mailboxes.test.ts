import { expect, test } from 'vitest'
import { mailboxAddress, mailboxPlace, parseMailboxAddress } from '../../../broker-adapters/mailbox-address.ts'
import { createMailboxReader } from '../../../broker-adapters/mailbox-reader.ts'
import { MAX_KEEP_MS } from '../../../broker-adapters/rabbitmq/topology.ts'
import type { Reply } from '../../../protocol/message.ts'

const reply = (type: Reply['type'], text: string, replay = 0): Reply => ({
  correlationId: 'a',
  type,
  contentType: 'text/plain',
  contentEncoding: undefined,
  headers: replay === 0 ? {} : { 'rt-replay': String(replay) },
  body: Buffer.from(text),
})

test('an address gives its place back; others are no mailboxes', () => {
  const place = mailboxPlace('shop', 'order-7', 300)
  expect(parseMailboxAddress('shop', mailboxAddress(place), MAX_KEEP_MS)).toEqual(place)
  expect(parseMailboxAddress('shop', 'shop.kept.a/9999999999', MAX_KEEP_MS)?.keepMs).toBe(MAX_KEEP_MS)
  for (const other of ['shop.reply.p.1', 'other.kept.a/300', 'shop.kept.a', 'shop.kept./300', 'shop.kept.a/b/300', ''])
    expect(parseMailboxAddress('shop', other, MAX_KEEP_MS)).toBeUndefined()
})

test('a reader gets what the mailbox has before what was heard meanwhile, and of a generation one outcome', () => {
  const got: string[] = []
  const reader = createMailboxReader(({ body }) => got.push(Buffer.from(body).toString()))
  reader.hear(reply('progress', 'p'))
  reader.hear(reply('error', 'second'))
  reader.goOn(reply('error', 'first'))
  expect(got).toEqual(['p', 'first'])
  reader.wait()
  reader.hear(reply('result', 'next', 1))
  reader.goOn(reply('error', 'first'))
  reader.hear(reply('result', 'next', 1))
  reader.hear(reply('error', 'late'))
  expect(got).toEqual(['p', 'first', 'next'])
})
