import { describe, expect, expectTypeOf, it } from 'vitest'
import { defineService, method, type } from '../../../contract/index.ts'
import { ConfigError } from '../../../protocol/errors.ts'
import {
  createWorker,
  type ContextOf,
  type Handler,
  type HandlerInput,
  type HandlerOutput,
  type Handlers,
} from '../../../worker/index.ts'
import { createCaller, testBroker } from './support/caller.ts'

const math = defineService('math', {
  methods: {
    add: method({
      input: type<{ a: number; b: number }>(),
      output: type<number>(),
      errors: { TOO_BIG: type<{ limit: number }>() },
    }),
    note: method({ input: type<string>(), oneWay: true }),
  },
})

class Calculator implements Handlers<typeof math> {
  #calls = 0
  async add(
    { a, b }: HandlerInput<typeof math, 'add'>,
    ctx: ContextOf<typeof math, 'add'>,
  ): Promise<HandlerOutput<typeof math, 'add'>> {
    if (a + b > 1000) throw ctx.fail('TOO_BIG', { limit: 1000 })
    this.#calls++
    return this.helper(a + b)
  }
  note() {}
  helper(sum: number) {
    return sum * this.#calls
  }
}

async function withWorker(
  act: (worker: ReturnType<typeof createWorker>, broker: Awaited<ReturnType<typeof testBroker>>['broker']) => unknown,
) {
  const { broker } = await testBroker()
  try {
    await act(createWorker(broker), broker)
  } finally {
    await broker.close()
  }
}

describe('serve', () => {
  it('takes class instances: `this` is bound, inherited methods are found, helpers are no handlers', () =>
    withWorker(async (worker, broker) => {
      class Derived extends Calculator {}
      await worker.serve(math, new Derived()).start()
      const caller = await createCaller(broker, math)
      expect(await caller.call('add', { input: { a: 1, b: 2 } })).toMatchObject({ value: 3 })
      expect((await caller.call('helper', { input: 1 })).error).toMatchObject({
        code: 'UNKNOWN_METHOD',
        executed: 'no',
      })
      expect((await caller.call('add', { input: { a: 1000, b: 2 } })).error).toMatchObject({
        code: 'TOO_BIG',
        data: { limit: 1000 },
      })
    }))

  it('refuses what cannot work, naming it', () =>
    withWorker((worker) => {
      const add = () => 1
      const loose = worker as unknown as { serve(...args: unknown[]): unknown } // as from JavaScript
      expect(() => loose.serve({}, {})).toThrow(/defineService/)
      expect(() => loose.serve(math, { add })).toThrow(/'math.note' has no handler.*got undefined/)
      expect(() => loose.serve(math, { add, note() {}, nope() {} })).toThrow(
        /"nope" belongs to no method of 'math'.*add, note/,
      )
      expect(() => loose.serve(math, undefined)).toThrow(/an object with a function per method/)
      expect(() => loose.serve(math, { add, note() {} }, { concurrency: { nope: 1 } })).toThrow(/"nope".*no method/)
      expect(() => loose.serve(math, { add, note() {} }, { concurrency: { add: 0 } })).toThrow(/from 1 to .*got 0/)
      expect(() => loose.serve(math, { add, note() {} }, { attemptTimeoutMs: 1.5 })).toThrow(ConfigError)
      expect(() => loose.serve(math, { add, note() {} }, { attemptTimeout: 5 })).toThrow(
        /serve\('math', …\) has no option "attemptTimeout"; known are concurrency, attemptTimeoutMs$/,
      )
      expect(() => loose.serve(math, { add, note() {} }, null)).toThrow(/must be an object; got null/)
      loose.serve(math, { add, note() {} })
      expect(() => loose.serve(math, { add, note() {} })).toThrow(/served already/)
    }))

  it('comes before start', () =>
    withWorker(async (worker) => {
      await worker.serve(math, new Calculator()).start()
      expect(() => worker.serve(math, new Calculator())).toThrow(/comes after start/)
    }))
})

describe('createWorker', () => {
  it.each([
    [{ concurrency: 0 }, /concurrency must be a whole number from 1 to .*got 0/],
    [{ prefetch: 0.5 }, /prefetch must be/],
    [{ group: 'Ä' }, /name of a group/],
    [{ name: '' }, /name of a worker/],
    [{ validate: 'yes' }, /'both', 'receiver' or 'off'; got "yes"/],
    [{ middleware: [1] }, /middleware must be/],
    [{ namespace: 'A' }, /namespace/],
    [{ concurency: 3 }, /a worker has no option "concurency"; known are name, group, concurrency, .*, namespace,/],
  ])('refuses %j', (options, message) => {
    expect(() => createWorker('memory:never', options as object)).toThrow(message)
  })

  it.each([{ namespace: 'other' }, { log: () => {} }, { connectTimeoutMs: 5 }, { maxPayloadBytes: 5000 }])(
    'refuses %j beside a shared broker, which has its own',
    (options) =>
      withWorker((_worker, broker) => {
        expect(() => createWorker(broker, options)).toThrow(/belongs to the broker .*worker shares: give it to connect/)
        expect(() => createWorker(broker, { namespace: undefined })).not.toThrow()
      }),
  )

  it('refuses a bad URL at once', () => {
    expect(() => createWorker('nonsense:x')).toThrow(ConfigError)
  })

  it('has types that follow the contract', () => {
    expectTypeOf<Parameters<Handler<typeof math, 'add'>>[0]>().toEqualTypeOf<{ a: number; b: number }>()
    expectTypeOf<HandlerOutput<typeof math, 'add'>>().toEqualTypeOf<number>()
    const add: Handler<typeof math, 'add'> = ({ a }, { fail }) => {
      // @ts-expect-error undeclared code
      if (a === 1) throw fail('OTHER')
      // @ts-expect-error wrong data
      if (a === 2) throw fail('TOO_BIG', { limit: 'x' })
      return a
    }
    expect(add({ a: 5, b: 1 }, {} as ContextOf<typeof math, 'add'>)).toBe(5) // it reads nothing of it
  })
})
