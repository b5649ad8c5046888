import type {
  ContextOf,
  Handler,
  HandlerContext,
  HandlerInput,
  HandlerOutput,
  Handlers,
  Worker,
} from '../../worker/types.ts'
import { bank, clips, images, Thumbs, thumbs, vendors } from './contracts.ts'
import { is, type Equal } from './equal.ts'

declare const worker: Worker

worker.serve(clips, {
  async *frames({ clip }, ctx) {
    is<Equal<typeof clip, string>>()
    if (clip === '') throw ctx.fail('NO_CLIP', { clip })
    yield { at: '2026-01-01T00:00:00Z' }
  },
})
declare const misfits: () => AsyncIterable<{ at: number }>
// @ts-expect-error items of another shape
worker.serve(clips, { frames: misfits })
// @ts-expect-error a stream is an AsyncIterable
worker.serve(clips, { frames: () => ({ at: '2026' }) })

type Images = typeof images

// a plain object: everything is inferred from the contract
worker
  .serve(images, {
    async resize({ path, width }, ctx) {
      is<Equal<typeof path, string>>()
      is<Equal<typeof width, number>>()
      if (path === '') throw ctx.fail('NOT_FOUND', { path })
      if (width > 9) throw ctx.fail('TOO_BIG', { limit: 9 })
      // @ts-expect-error undeclared code
      if (width < 0) throw ctx.fail('OTHER', { path })
      // @ts-expect-error data of another code
      if (width < 1) throw ctx.fail('TOO_BIG', { path })
      // @ts-expect-error missing data
      if (width < 2) throw ctx.fail('TOO_BIG')
      // @ts-expect-error no progress is declared
      ctx.progress(5)
      return { bytes: new Uint8Array(1), at: '2026-01-01T00:00:00Z' }
    },
    audit({ who }, ctx) {
      is<Equal<typeof who, string>>()
      is<Equal<typeof ctx.signal, AbortSignal>>()
      // @ts-expect-error nobody could receive an error of a one-way method
      if (who === '') throw ctx.fail('NOT_FOUND')
    },
    typed: ({ a }) => ({ b: a.toFixed() }),
    ping() {},
  })
  .serve(vendors, {
    valibot(input, ctx) {
      is<Equal<typeof input, { n: number }>>()
      ctx.progress({ percent: 1 })
      // @ts-expect-error progress of another shape
      ctx.progress({ pct: 1 })
      return 'a'
    },
    async arktype({ email }, ctx) {
      if (email === 'x') throw ctx.fail('TAKEN')
      if (email === 'y') throw ctx.fail('BAD', {})
      const error = ctx.fail('BAD', { why: 'z' })
      is<Equal<typeof error.code, 'BAD'>>()
      return 4
    },
    union: async (input) => {
      if (input.kind === 'x') is<Equal<typeof input.x, 1>>()
      return null
    },
    optional(input) {
      is<Equal<typeof input, { a: 1 } | undefined>>()
    },
    async tick() {},
  })

// a class instance: no contextual types, so its methods name them
class ImageService implements Handlers<Images> {
  #root = 'root'
  async resize(
    { path }: HandlerInput<Images, 'resize'>,
    ctx: ContextOf<Images, 'resize'>,
  ): Promise<HandlerOutput<Images, 'resize'>> {
    if (path === this.#root) throw ctx.fail('NOT_FOUND', { path })
    return { bytes: new Uint8Array(this.helper()), at: 'x' }
  }
  audit(_entry: { who: string }): void {}
  typed({ a }: { a: number }): { b: string } {
    return { b: String(a) }
  }
  ping(): void {}
  helper(): number {
    return 1
  }
}
worker.serve(images, new ImageService())
worker.serve(thumbs, new Thumbs())

// a keyed method has a fence
worker.serve(bank, {
  post(posting, ctx) {
    is<Equal<typeof ctx.fence, number | undefined>>()
    return posting.account.length
  },
  note() {},
  touch() {},
  hurry() {},
})

// one handler per file, and a whole set checked by `satisfies`
export const resize: Handler<Images, 'resize'> = async ({ path, width }, ctx) => {
  is<Equal<typeof width, number>>()
  if (path === '') throw ctx.fail('NOT_FOUND', { path })
  return { bytes: new Uint8Array(width), at: '' }
}
const handlers = {
  resize,
  audit: () => {},
  ping: () => {},
  typed: ({ a }) => ({ b: a.toFixed() }),
} satisfies Handlers<Images>
worker.serve(images, handlers, { concurrency: { resize: 2, typed: undefined }, attemptTimeoutMs: 5000 })
export const direct = resize({ path: 'a', width: 1 }, {} as ContextOf<Images, 'resize'>)

is<Equal<HandlerInput<Images, 'resize'>, { path: string; width: number }>>()
is<Equal<HandlerOutput<Images, 'resize'>, { bytes: Uint8Array<ArrayBuffer>; at: string }>>()
is<Equal<HandlerOutput<Images, 'ping'>, void>>()
is<Equal<ContextOf<Images, 'audit'>, HandlerContext>>()

// @ts-expect-error no such method
worker.serve(images, handlers, { concurrency: { resise: 2 } })
// @ts-expect-error a handler is missing
worker.serve(images, { resize, audit: () => {}, ping: () => {} })
// @ts-expect-error a handler of a method that the contract does not have
worker.serve(images, { ...handlers, resise: resize } satisfies Handlers<Images>)
// @ts-expect-error the output has another type
worker.serve(images, { ...handlers, typed: () => ({ b: 1 }) })
// @ts-expect-error the output is missing
worker.serve(images, { ...handlers, typed: () => {} })
// @ts-expect-error the handler takes another input
worker.serve(images, { ...handlers, typed: (input: { c: string }) => ({ b: input.c }) })
// @ts-expect-error no such method
export const none: Handler<Images, 'resise'> = () => {}
