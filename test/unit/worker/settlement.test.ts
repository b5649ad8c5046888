import { describe, expect, it } from 'vitest'
import { decideSettlement, type Outcome, type SettlementFacts } from '../../../worker/settlement.ts'

const failure = { code: 'X', message: 'x' }
const threw = (more: Partial<Extract<Outcome, { kind: 'threw' }>> = {}): Outcome => ({
  kind: 'threw',
  failure,
  isEntered: true,
  isFinal: false,
  retryAfterMs: undefined,
  detail: 'Error: x',
  ...more,
})
const call: SettlementFacts = {
  type: 'call',
  attempt: 1,
  attempts: 1,
  asksForRetry: false,
  retryDelayMs: 200,
  remainingMs: 1000,
  isProvenFirst: true,
}
const send: SettlementFacts = { ...call, type: 'send', attempts: 5, remainingMs: undefined }
const retrying: SettlementFacts = { ...call, attempts: 3, asksForRetry: true }
const unproven = { isProvenFirst: false }
const last = { attempt: 3 }

const fail = (executed: 'no' | 'unknown' | 'yes', keep: 'kept' | 'not kept') => ({
  act: 'fail',
  executed,
  keep: keep === 'kept',
  failure,
})
const retry = { act: 'retry', delayMs: 200 }

/** What ended how, under which facts, and what follows. */
const table: [string, Outcome, SettlementFacts, object][] = [
  ['returned, call', { kind: 'returned', body: new Uint8Array() }, call, { act: 'complete' }],
  ['returned, send', { kind: 'returned', body: new Uint8Array() }, send, { act: 'complete' }],
  ['declared, call', { kind: 'declared', failure }, call, fail('yes', 'not kept')],
  [
    'declared, call that asked for retries',
    { kind: 'declared', failure },
    { ...retrying, ...last },
    fail('yes', 'not kept'),
  ],
  ['declared, send', { kind: 'declared', failure }, send, fail('yes', 'kept')],
  ['refused, first', { kind: 'refused', failure }, call, fail('no', 'not kept')],
  ['refused, perhaps not first', { kind: 'refused', failure }, { ...call, ...unproven }, fail('unknown', 'not kept')],
  ['refused, send', { kind: 'refused', failure }, send, fail('no', 'kept')],
  ['threw, only attempt', threw(), call, fail('yes', 'not kept')],
  ['threw in a middleware, first', threw({ isEntered: false }), call, fail('no', 'not kept')],
  [
    'threw in a middleware, perhaps not first',
    threw({ isEntered: false }),
    { ...call, ...unproven },
    fail('unknown', 'not kept'),
  ],
  ['threw, attempts left', threw(), retrying, retry],
  ['threw, used up', threw(), { ...retrying, ...last }, fail('yes', 'kept')],
  ['threw, retry due after the deadline', threw(), { ...retrying, remainingMs: 200 }, fail('yes', 'not kept')],
  ['threw NonRetryableError', threw({ isFinal: true }), retrying, fail('yes', 'not kept')],
  ['threw NonRetryableError, used up', threw({ isFinal: true }), { ...retrying, ...last }, fail('yes', 'not kept')],
  ['threw, send', threw(), send, retry],
  ['threw, send, last', threw(), { ...send, attempt: 5 }, fail('yes', 'kept')],
  ['threw NonRetryableError, send', threw({ isFinal: true }), send, fail('yes', 'kept')],
  ['threw, send, retry due after its deadline', threw(), { ...send, remainingMs: 100 }, fail('yes', 'kept')],
  ['timed out, only attempt', { kind: 'timedOut', failure }, call, fail('unknown', 'not kept')],
  ['timed out, attempts left', { kind: 'timedOut', failure }, retrying, retry],
  ['timed out, used up', { kind: 'timedOut', failure }, { ...retrying, ...last }, fail('unknown', 'kept')],
  [
    'timed out, attempt beyond the last',
    { kind: 'timedOut', failure },
    { ...retrying, attempt: 99 },
    fail('unknown', 'kept'),
  ],
  ['bad output, call that asked for retries', { kind: 'badOutput', failure }, retrying, fail('yes', 'not kept')],
  ['bad output, send', { kind: 'badOutput', failure }, send, fail('yes', 'kept')],
  ['unreadable, call', { kind: 'unreadable', failure }, call, fail('no', 'kept')],
  [
    'unreadable, send, perhaps not first',
    { kind: 'unreadable', failure },
    { ...send, ...unproven },
    fail('unknown', 'kept'),
  ],
  ['crashed, call', { kind: 'crashed', failure }, call, fail('unknown', 'kept')],
  ['crashed, send', { kind: 'crashed', failure }, send, fail('unknown', 'kept')],
  ['expired, first', { kind: 'expired', failure }, call, fail('no', 'not kept')],
  ['expired, perhaps not first', { kind: 'expired', failure }, { ...call, ...unproven }, fail('unknown', 'not kept')],
  ['expired, send', { kind: 'expired', failure }, send, fail('no', 'not kept')],
  ['cancelled, not entered', { kind: 'cancelled', failure, handler: 'not entered' }, call, fail('no', 'not kept')],
  [
    'cancelled, ran before',
    { kind: 'cancelled', failure, handler: 'not entered' },
    { ...call, ...unproven },
    fail('unknown', 'not kept'),
  ],
  ['cancelled, ended', { kind: 'cancelled', failure, handler: 'ended' }, retrying, fail('yes', 'not kept')],
  ['cancelled, runs on', { kind: 'cancelled', failure, handler: 'runs on' }, retrying, fail('unknown', 'not kept')],
  ['lost', { kind: 'lost' }, call, { act: 'nothing' }],
  ['given back', { kind: 'givenBack' }, call, { act: 'release' }],
]

describe('decideSettlement', () => {
  it.each(table)('%s', (_name, outcome, facts, settlement) => {
    expect(decideSettlement(outcome, facts)).toEqual(settlement)
  })
})
