import { expect } from 'vitest'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import { RetryAfter } from '../../../worker/errors.ts'
import { HOLD_MS } from '../../../worker/retry-policy.ts'
import { createGate, eventually } from '../../support/eventually.ts'
import type { FaultyTarget } from '../../support/faulty-adapter.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { aborted, errorOf, probe, unused } from '../probe.ts'
import { isEmpty } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('order by key')
export const orderByKey = cases

interface Posting {
  readonly account: string
  readonly n: number
}
const posting = type<Posting>()

const bank = defineService('probe', {
  methods: {
    post: method({ input: posting, output: type<string>(), keyed: true }),
    note: method({ input: posting, oneWay: true, keyed: true, retry: { attempts: 3, minDelayMs: 1, maxDelayMs: 5 } }),
    free: method({ input: posting, output: type<string>() }),
  },
})
const queue = queueRef({ features: { keyed: true, priority: false, frames: false } })
const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

/** What ran, and how many of a key at once. */
function createWatch() {
  const running = new Map<string, number>()
  const order: string[] = []
  let most = 0
  return {
    order,
    of: (account: string) => order.filter((entry) => entry.startsWith(account)).map((entry) => entry.split(' ')[1]),
    get mostOfAKey() {
      return most
    },
    async run({ account, n }: Posting, work: () => unknown = () => {}): Promise<void> {
      const count = (running.get(account) ?? 0) + 1
      running.set(account, count)
      most = Math.max(most, count)
      order.push(`${account} ${n}`)
      try {
        await new Promise((resolve) => setImmediate(resolve))
        await work()
      } finally {
        running.set(account, (running.get(account) ?? 0) - 1)
      }
    },
  }
}

claim('what is called and sent with one key starts in its order, one at a time among several workers', async (t) => {
  const watch = createWatch()
  const handlers = {
    post: async (input: Posting) => (await watch.run(input), `${input.account}${input.n}`),
    note: (input: Posting) => watch.run(input),
    free: unused as () => string,
  }
  await Promise.all([t.serve(bank, handlers), t.serve(bank, handlers), t.serve(bank, handlers)])
  const stub = t.client().service(bank)
  const accounts = ['a', 'b', 'c', 'd', 'e']
  const all = numbers(30).flatMap((n) =>
    accounts.map((account) =>
      n % 3 === 0 ? stub.note.send({ account, n }, { key: account }) : stub.post({ account, n }, { key: account }),
    ),
  )
  await Promise.all(all)
  await isEmpty(await t.adapter(), queue)
  for (const account of accounts) expect(watch.of(account)).toEqual(numbers(30).map(String))
  expect(watch.mostOfAKey).toBe(1)
})

claim('other keys, and methods without one, go on beside a key that is slow, however much of it waits', async (t) => {
  const [watch, go] = [createWatch(), createGate()]
  await t.serve(
    bank,
    {
      post: async (input) => (await watch.run(input, () => input.account === 'slow' && go.opened), input.account),
      note: unused,
      free: ({ account }) => account,
    },
    { concurrency: 2, prefetch: 3 },
  )
  const stub = t.client().service(bank)
  const slow = numbers(50).map((n) => stub.post({ account: 'slow', n }, { key: 'slow' }))
  await eventually(() => watch.of('slow').length === 1)
  const others = numbers(30).map((n) => stub.post({ account: `o${n}`, n }, { key: `o${n}` }))
  expect(await stub.free({ account: 'free', n: 0 })).toBe('free')
  await Promise.all(others)
  expect(watch.of('slow')).toEqual(['0'])
  go.open()
  await Promise.all(slow)
  expect(watch.of('slow')).toEqual(numbers(50).map(String))
})

claim('retries hold the key, waited for in the worker or stored in the broker', async (t) => {
  const watch = createWatch()
  await t.serve(bank, {
    post: unused as () => string,
    free: unused as () => string,
    note: (input, ctx) =>
      watch.run(input, () => {
        if (input.n === 1 && ctx.attempt < 3) throw new Error('again')
        if (input.n === 2 && ctx.attempt === 1) throw new RetryAfter(HOLD_MS + 100)
      }),
  })
  const stub = t.client().service(bank)
  for (const n of numbers(4)) await stub.note.send({ account: 'a', n }, { key: 'a' })
  await eventually(() => watch.of('a').length === 7, { within: 15_000 })
  expect(watch.of('a')).toEqual(['0', '1', '1', '1', '2', '2', '3'])
  expect(watch.mostOfAKey).toBe(1)
})

claim(
  'a worker that lost its connection hears it by its signal; the key goes on elsewhere with a higher fence',
  async (t) => {
    const wire = t.wire()
    const seen: { readonly by: string; readonly n: number; readonly fence: number | undefined }[] = []
    let heard: unknown
    const first = t.worker({ wire })
    first.serve(bank, {
      note: unused,
      free: unused as () => string,
      async post({ n }, ctx) {
        seen.push({ by: 'first', n, fence: ctx.fence })
        heard = await aborted(ctx.signal)
        return 'too late'
      },
    })
    await first.start()
    const stub = t.client().service(bank)
    const calls = numbers(3).map((n) => stub.post({ account: 'a', n }, { key: 'a' }))
    await eventually(() => seen.length === 1)
    await t.serve(bank, {
      note: unused,
      free: unused as () => string,
      post({ n }, ctx) {
        seen.push({ by: 'second', n, fence: ctx.fence })
        return 'done'
      },
    })
    wire.faults.disconnect()
    expect(await Promise.all(calls)).toEqual(['done', 'done', 'done'])
    await eventually(() => heard !== undefined)
    expect(heard).toMatchObject({ code: 'BROKER_UNAVAILABLE' })
    expect(seen.map(({ by, n }) => [by, n])).toEqual([
      ['first', 0],
      ['second', 0],
      ['second', 1],
      ['second', 2],
    ])
    const fences = seen.map(({ fence }) => fence ?? -1)
    expect(fences.every((fence, index) => index === 0 || fence > (fences[index - 1] ?? Infinity))).toBe(true)
  },
)

claim('what is handed over again because its ack was lost keeps the order of its key', async (t) => {
  const [wire, watch] = [t.wire(), createWatch()]
  const lost = new Set<string>()
  wire.faults.plans.ack = ({ id }) => (lost.has(id) ? undefined : (lost.add(id), 'lost'))
  await t.serve(
    bank,
    { note: (input) => watch.run(input), post: unused as () => string, free: unused as () => string },
    { wire },
  )
  const stub = t.client().service(bank)
  await stub.note.sendMany(
    numbers(10).map((n) => ({ account: 'a', n })),
    { key: ({ account }) => account },
  )
  await isEmpty(await t.adapter(), queue)
  expect(watch.of('a')).toEqual(numbers(10).map(String))
})

claim(
  'a message that ends its workers ends after some crashes alone; its key and the others go on unpunished',
  async (t) => {
    let wire: FaultyTarget | undefined
    const watch = createWatch()
    const spawn = async (): Promise<void> => {
      wire = t.wire()
      const post = async (input: Posting, { signal }: { readonly signal: AbortSignal }): Promise<string> => {
        await watch.run(input, async () => {
          if (input.account !== 'poison' || input.n !== 0) return
          wire?.faults.disconnect()
          void spawn()
          throw await aborted(signal)
        })
        return `${input.account} ${input.n}`
      }
      await t.serve(bank, { post, note: unused, free: unused as () => string }, { wire, concurrency: 10 })
    }
    await spawn()
    const stub = t.client().service(bank)
    const poison = errorOf(stub.post({ account: 'poison', n: 0 }, { key: 'poison' }))
    const accounts = ['poison', ...numbers(9).map((n) => `k${n}`)]
    const others = accounts.flatMap((account) =>
      numbers(3).map((n) => stub.post({ account, n: n + 1 }, { key: account })),
    )
    expect(await poison).toMatchObject({ code: 'CRASHED', executed: 'unknown' })
    expect(await Promise.all(others)).toHaveLength(30)
    // Twice beside others; then alone, more than three times.
    expect(watch.of('poison')).toEqual(['0', '0', '0', '0', '0', '0', '1', '2', '3'])
    expect(watch.mostOfAKey).toBe(1)
    await isEmpty(await t.adapter(), queue)
  },
)

claim(
  'publishes whose confirmation is lost go out again in their order; other keys do not wait for them',
  async (t) => {
    const [wire, watch, go] = [t.wire(), createWatch(), createGate()]
    const tries = new Map<string, number>()
    wire.faults.plans.publish = ({ id, headers }) => {
      const count = (tries.get(id) ?? 0) + 1
      tries.set(id, count)
      if (headers['rt-key'] !== 'a' || count > 2) return undefined
      return { outcome: 'unknown', isStored: tries.size % 2 === 0 }
    }
    const client = t.client({ wire })
    const stub = client.service(bank)
    const calls = numbers(6).map((n) => stub.post({ account: 'a', n }, { key: 'a' }))
    await stub.note.send({ account: 'b', n: 0 }, { key: 'b' })
    await t.serve(bank, {
      note: (input) => watch.run(input),
      free: unused as () => string,
      post: async (input) => (await watch.run(input, () => go.opened), 'done'),
    })
    await eventually(() => watch.of('b').length === 1)
    go.open()
    await Promise.all(calls)
    await isEmpty(await t.adapter(), queue)
    expect(watch.of('a')).toEqual(numbers(6).map(String))
    expect(client.counters['resent']).toBeGreaterThan(0)
  },
)

claim('a key has one unconfirmed publish; what is cancelled or ends frees it', async (t) => {
  const [wire, go] = [t.wire(), createGate()]
  wire.faults.plans.publish = ({ headers }) =>
    headers['rt-key'] === 'a' ? { outcome: 'stored', after: go.opened } : undefined
  const stub = t.client({ wire }).service(bank)
  const before = stub.post.start({ account: 'c', n: 0 }, { key: 'c' })
  await before.stored() // queue and inbox are there
  before.cancel()
  const published = (): string[] => wire.faults.events.of('publish').map(({ id }) => id)
  const calls = numbers(3).map((n) =>
    stub.post.start({ account: 'a', n }, { key: 'a', timeoutMs: n === 1 ? 300 : 10_000 }),
  )
  const ids = calls.map(({ id }) => id)
  await eventually(() => published().includes(ids[0] ?? ''))
  await stub.note.send({ account: 'b', n: 0 }, { key: 'b' })
  expect(published().filter((id) => ids.includes(id))).toEqual(ids.slice(0, 1))
  calls[0]?.cancel()
  await eventually(() => published().includes(ids[1] ?? ''))
  expect(published()).not.toContain(ids[2])
  expect(await calls[1]?.outcome()).toMatchObject({ error: { code: 'TIMEOUT' } })
  await eventually(() => published().includes(ids[2] ?? ''))
  go.open()
  await calls[2]?.stored()
})

claim('many calls draw the key from each input; a handler without a key has no fence', async (t) => {
  const fences: (number | undefined)[] = []
  await t.serve(bank, {
    note: unused,
    post: ({ n }, ctx) => `${n} ${ctx.fence === undefined ? 'none' : 'fenced'}`,
    free(_, ctx) {
      fences.push(ctx.fence)
      return ''
    },
  })
  const stub = t.client().service(bank)
  const inputs = numbers(4).map((n) => ({ account: `a${n % 2}`, n }))
  const run = stub.post.map(inputs, { key: ({ account }) => account, ordered: true })
  expect(await run.values()).toEqual(['0 fenced', '1 fenced', '2 fenced', '3 fenced'])
  await stub.free({ account: 'a', n: 0 })
  expect(fences).toEqual([undefined])
})

claim('a key that is missing, too long, no text or not asked for is refused, and nothing is published', async (t) => {
  const wire = t.wire()
  const client = t.client({ wire })
  const post = client.service(bank).post as (input: Posting, options?: object) => Promise<string>
  const work = client.service(probe).work as (input: { key: string }, options?: object) => Promise<unknown>
  const input = { account: 'a', n: 0 }
  const errors = [
    await errorOf(post(input)),
    await errorOf(post(input, { timeoutMs: 1000 })),
    await errorOf(post(input, { key: 'ä'.repeat(513) })),
    await errorOf(post(input, { key: '' })),
    await errorOf(post(input, { key: 7 })),
    await errorOf(work({ key: 'a' }, { key: 'a' })),
  ]
  expect(errors.map(({ code, executed }) => [code, executed])).toEqual(errors.map(() => ['CONFIG', 'no']))
  expect(errors.map(({ message }) => message)).toEqual([
    expect.stringContaining("method 'probe.post' is keyed"),
    expect.stringContaining("method 'probe.post' is keyed"),
    expect.stringContaining('has 1026 bytes; at most 1024 are allowed'),
    expect.stringContaining('must not be empty'),
    expect.stringContaining('must be a string'),
    expect.stringContaining("method 'probe.work' is not keyed"),
  ])
  expect(wire.faults.events.of('publish')).toEqual([])
})
