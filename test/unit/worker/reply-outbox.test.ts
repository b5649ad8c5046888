import { describe, expect, it } from 'vitest'
import type { BrokerAdapter } from '../../../broker-adapters/adapter.ts'
import type { BrokerCore, BrokerState } from '../../../broker-adapters/broker.ts'
import { SYSTEM_CLOCK } from '../../../protocol/clock.ts'
import type { Reply } from '../../../protocol/message.ts'
import type { TimerWheel } from '../../../protocol/timer-wheel.ts'
import { createReplyOutbox } from '../../../worker/reply-outbox.ts'
import { deferred } from './support/deferred.ts'

/** An outbox whose broker and clock are in the test's hand. */
function outboxWith(reply: BrokerAdapter['reply'], limits = { replies: 1_000, bytes: 1_000_000 }) {
  const timers = new Map<() => void, number>()
  let listener: ((state: BrokerState) => void) | undefined
  const state: { now: BrokerState } = { now: 'up' }
  const counts: string[] = []
  const wheel: TimerWheel = {
    schedule<T>(at: number, fire: (argument: T) => void, argument?: T) {
      const run = (): void => fire(argument as T) // given together
      timers.set(run, at)
      return { cancel: () => void timers.delete(run) }
    },
    close() {},
  }
  const core = {
    get state() {
      return state.now
    },
    log() {},
    onState(given: (state: BrokerState) => void) {
      listener = given
      return () => (listener = undefined)
    },
    clock: SYSTEM_CLOCK,
  } as unknown as BrokerCore // the rest is not used
  const outbox = createReplyOutbox({ core, adapter: { reply }, wheel, count: (name) => counts.push(name), limits })
  return {
    outbox,
    timers,
    counts,
    say: (next: BrokerState): void => {
      state.now = next
      listener?.(next)
    },
    fire: (at: number): void => {
      for (const [timer, due] of timers) {
        if (due !== at) continue
        timers.delete(timer)
        timer()
      }
    },
  }
}

const replyOf = (correlationId: string): Reply => ({
  correlationId,
  type: 'result',
  contentType: 'application/cbor',
  contentEncoding: undefined,
  headers: {},
  body: new Uint8Array(),
})
const DEADLINE_AT = 123_446_789
const GIVE_UP_AT = 123_456_789
const wanted = { deadlineAt: DEADLINE_AT, giveUpAt: GIVE_UP_AT, isWanted: () => true }

describe('reply outbox', () => {
  it('tries again as soon as the broker is up', async () => {
    const attempts: (() => void)[] = []
    const first = deferred()
    const { outbox, say, counts } = outboxWith(async (_address, replies) => {
      attempts.push(() => {})
      if (attempts.length > 1) return replies.map(() => 'stored')
      first.resolve()
      return replies.map(() => 'unknown')
    })
    const fate = outbox.send('a', replyOf('1'), wanted)
    await first.promise
    await new Promise((resolve) => setImmediate(resolve))
    say('down')
    say('up')
    expect(await fate).toBe('stored')
    expect(counts).toEqual(['repliesResent'])
  })

  it('survives an adapter that throws, and tries again later', async () => {
    let isFirst = true
    const { outbox, timers } = outboxWith(async (_address, replies) => {
      if (!isFirst) return replies.map(() => 'gone')
      isFirst = false
      throw new Error('a bug')
    })
    const fate = outbox.send('a', replyOf('1'), wanted)
    while (timers.size < 2) await new Promise((resolve) => setImmediate(resolve))
    for (const [timer, at] of timers) if (at !== GIVE_UP_AT) timer()
    expect(await fate).toBe('gone')
  })

  it('gives up at its time, even while the broker says nothing', async () => {
    const { outbox, fire, timers } = outboxWith(() => new Promise(() => {}))
    const fate = outbox.send('a', replyOf('1'), wanted)
    fire(DEADLINE_AT)
    expect(timers.size).toBe(1)
    fire(GIVE_UP_AT)
    expect(await fate).toBe('tooLate')
    expect(timers.size).toBe(0)
  })

  it('does not send what nobody wants any more', async () => {
    const { outbox } = outboxWith(() => expect.fail('it was sent'))
    expect(await outbox.send('a', replyOf('1'), { ...wanted, isWanted: () => false })).toBe('dropped')
  })

  it('drops what is open when it closes, and what comes later', async () => {
    const { outbox, timers } = outboxWith(() => new Promise(() => {}))
    const fate = outbox.send('a', replyOf('1'), wanted)
    await new Promise((resolve) => setImmediate(resolve))
    outbox.close()
    outbox.sendUnconfirmed('a', replyOf('2'))
    expect(await fate).toBe('dropped')
    expect(await outbox.send('a', replyOf('3'), wanted)).toBe('dropped')
    expect(timers.size).toBe(0)
  })

  it('keeps the order of reports and answers to one address', async () => {
    const seen: string[] = []
    const { outbox } = outboxWith(async (_address, replies) => {
      seen.push(replies.map((reply) => reply.correlationId).join())
      return replies.map(() => 'stored')
    })
    outbox.sendUnconfirmed('a', replyOf('1'))
    outbox.sendUnconfirmed('a', replyOf('2'))
    await outbox.send('a', replyOf('3'), wanted)
    expect(seen).toEqual(['1,2,3'])
  })

  it('waits while the broker is blocked, each reply until its deadline, and sends the rest when it is not', async () => {
    const asked: string[] = []
    const { outbox, say, fire, counts } = outboxWith(async (_address, replies) => {
      asked.push(...replies.map((reply) => reply.correlationId))
      return replies.map(() => 'stored')
    })
    say('blocked')
    const [late, kept] = [
      outbox.send('a', replyOf('late'), wanted),
      outbox.send('a', replyOf('kept'), { ...wanted, deadlineAt: DEADLINE_AT + 1 }),
    ]
    const overdue = outbox.send('a', replyOf('overdue'), { ...wanted, deadlineAt: -1 })
    await new Promise((resolve) => setImmediate(resolve))
    fire(DEADLINE_AT)
    fire(-1)
    expect([await late, await overdue, asked]).toEqual(['tooLate', 'tooLate', []])
    say('up')
    expect(await kept).toBe('stored')
    expect([asked, counts]).toEqual([['kept'], []])
  })

  it('skips what is past its deadline when the broker becomes blocked', async () => {
    const { outbox, say } = outboxWith(() => new Promise(() => {}))
    const fate = outbox.send('a', replyOf('1'), { ...wanted, deadlineAt: -1 })
    say('blocked')
    expect(await fate).toBe('tooLate')
  })

  it('has room up to its limits, and tells who waits when there is room again', async () => {
    const ends: (() => void)[] = []
    const { outbox } = outboxWith(
      (_address, replies) => new Promise((resolve) => ends.push(() => resolve(replies.map(() => 'stored')))),
      { replies: 2, bytes: 10 },
    )
    const fates = [outbox.send('a', replyOf('1'), wanted), outbox.send('b', replyOf('2'), wanted)]
    expect(outbox.hasRoom).toBe(false)
    let told = 0
    outbox.onRoom(() => told++)
    outbox.onRoom(() => told++)()
    await new Promise((resolve) => setImmediate(resolve))
    ends[0]?.()
    await Promise.race(fates)
    expect([told, outbox.hasRoom]).toEqual([1, true])
    void outbox.send('a', { ...replyOf('3'), body: new Uint8Array(10) }, wanted)
    expect(outbox.hasRoom).toBe(false)
    outbox.close()
  })
})
