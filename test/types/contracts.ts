import { type as ark } from 'arktype'
import * as v from 'valibot'
import { z } from 'zod'
import { defineService, method, methodsOf, type } from '../../contract/index.ts'

/** Contracts that the files beside this one take apart. */
export const images = defineService('images', {
  version: '1.2.0',
  methods: {
    resize: method({
      input: z.object({ path: z.string(), width: z.number().default(640) }),
      output: z.object({ bytes: z.instanceof(Uint8Array), at: z.iso.datetime().transform((text) => new Date(text)) }),
      errors: { NOT_FOUND: z.object({ path: z.string() }), TOO_BIG: z.object({ limit: z.number() }) },
      timeoutMs: 10_000,
      retry: { attempts: 5 },
    }),
    audit: method({ input: type<{ who: string }>(), oneWay: true }),
    typed: method({ input: type<{ a: number }>(), output: type<{ b: string }>() }),
    ping: method({}),
  },
})

export const clips = defineService('clips', {
  methods: {
    frames: method({
      input: type<{ clip: string }>(),
      yields: z.object({ at: z.iso.datetime().transform((text) => new Date(text)) }),
      errors: { NO_CLIP: type<{ clip: string }>() },
    }),
  },
})

export const bank = defineService('bank', {
  methods: {
    post: method({ input: type<{ account: string }>(), output: type<number>(), keyed: true }),
    note: method({ input: type<{ account: string }>(), oneWay: true, keyed: true }),
    touch: method({ keyed: true }),
    hurry: method({ priority: true }),
  },
})

export const vendors = defineService('vendors', {
  methods: {
    valibot: method({
      input: v.object({ n: v.optional(v.number(), 1) }),
      output: type<'a' | 'b'>(),
      progress: type<{ percent: number }>(),
    }),
    arktype: method({
      input: ark({ email: 'string.email' }),
      output: ark('number'),
      errors: { TAKEN: type<void>(), BAD: v.object({ why: v.optional(v.string(), 'unknown') }) },
    }),
    union: method({ input: type<{ kind: 'x'; x: 1 } | { kind: 'y' }>(), output: type<null>() }),
    optional: method({ input: type<{ a: 1 } | undefined>() }),
    tick: method({ oneWay: true }),
  },
})

export interface Clip {
  readonly id: string
}
export class Thumbs {
  readonly size = 3
  #made = 0
  async create(input: { path: string }, ctx: { readonly callId: string }): Promise<Clip> {
    this.#made++
    return { id: ctx.callId + input.path }
  }
  ping(): 'pong' {
    return 'pong'
  }
  async *pages(input: { doc: string }): AsyncGenerator<number> {
    yield input.doc.length
  }
  protected secret(): number {
    return this.#made
  }
}
export const thumbs = defineService('thumbs', {
  methods: methodsOf<Thumbs>()({ create: { timeoutMs: 5000 }, ping: {} }),
})
export const books = defineService('books', { methods: methodsOf<Thumbs>()({ pages: { stream: true } }) })
