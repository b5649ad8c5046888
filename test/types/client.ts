import type { Call, Client, Outcome, Receipt, StreamCall, Stub } from '../../client/types.ts'
import type { ErrorCode } from '../../contract/index.ts'
import { bank, books, clips, images, thumbs, vendors, type Clip } from './contracts.ts'
import { is, type Equal } from './equal.ts'

declare const client: Client
declare const maybeSignal: AbortSignal | undefined

type Resized = { bytes: Uint8Array<ArrayBuffer>; at: Date }

declare const otherPing: Stub<typeof images>['ping']

const img = client.service(images, { group: 'gpu', timeoutMs: undefined })
img satisfies Stub<typeof images>
// @ts-expect-error not a contract
client.service({ name: 'images' })
// @ts-expect-error misspelt option
client.service(images, { gruop: 'gpu' })

export async function calls(): Promise<void> {
  const out = await img.resize({ path: 'a.png' }, { timeoutMs: 2000, signal: maybeSignal })
  is<Equal<typeof out, Resized>>()
  is<Equal<Awaited<ReturnType<typeof img.typed>>, { b: string }>>()
  is<Equal<Awaited<ReturnType<typeof img.ping>>, void>>()
  await img.ping()
  await img.ping(undefined, { timeoutMs: 1 })
  const { id } = await img.audit.send({ who: 'me' }, { id: 'order-7', delayMs: 60_000, expiresMs: 120_000 })
  is<Equal<typeof id, string>>()
  is<Equal<Awaited<ReturnType<typeof img.resize.send>>, Receipt>>()
}

export async function started(): Promise<void> {
  const call = img.resize.start({ path: 'a', width: 2 }, { headers: { tenant: 'a' } })
  is<Equal<Awaited<typeof call>, Resized>>()
  is<Equal<typeof call.stage, 'outbox' | 'queued' | 'running' | 'settled'>>()
  is<Equal<typeof call.id, string>>()
  await call.stored()
  call.cancel('no longer needed')
  const other: Call<{ b: string }> = img.typed.start({ a: 1 })
  await other
  for await (const report of client.service(vendors).valibot.start({ n: 3 }).progress)
    is<Equal<typeof report, { percent: number }>>()
}

export async function streamed(): Promise<void> {
  const { frames } = client.service(clips)
  for await (const frame of frames({ clip: 'a' }, { timeoutMs: 1000 })) is<Equal<typeof frame, { at: Date }>>()
  const stream: StreamCall<{ at: Date }> = frames({ clip: 'a' })
  stream.cancel()
  for await (const page of client.service(books).pages({ doc: 'a' })) is<Equal<typeof page, number>>()
  const error: unknown = undefined
  if (frames.isDeclaredError(error)) is<Equal<typeof error.data, { clip: string }>>()
  // @ts-expect-error a stream is read, not awaited for an outcome
  frames.start({ clip: 'a' })
  // @ts-expect-error nobody would read it
  await frames.send({ clip: 'a' })
}

export async function keyedAndHurried(): Promise<void> {
  const stub = client.service(bank, { priority: 'high' })
  is<Equal<Awaited<ReturnType<typeof stub.post>>, number>>()
  await stub.post({ account: 'a' }, { key: 'a', timeoutMs: 1000 })
  await stub.post.start({ account: 'a' }, { key: 'a' })
  await stub.note.send({ account: 'a' }, { key: 'a' })
  await stub.touch(undefined, { key: 'a' })
  await stub.post.map([{ account: 'a' }], { key: ({ account }) => account, inFlight: 2 }).values()
  await stub.note.sendMany([{ account: 'a' }], { key: ({ account }) => account })
  await stub.hurry(undefined, { priority: 'high' })
  // @ts-expect-error a keyed method needs its key
  await stub.post({ account: 'a' })
  // @ts-expect-error also beside other options
  await stub.post({ account: 'a' }, { timeoutMs: 1000 })
  // @ts-expect-error also where there is no input
  await stub.touch()
  // @ts-expect-error so do sends
  await stub.note.send({ account: 'a' })
  // @ts-expect-error many draw it from each input
  stub.post.map([{ account: 'a' }], { key: 'a' })
  // @ts-expect-error a method that is not keyed has no key
  await stub.hurry(undefined, { key: 'a' })
  // @ts-expect-error there are two
  await stub.hurry(undefined, { priority: 'low' })
}

export async function kept(): Promise<void> {
  const call = img.resize.start({ path: 'a' }, { keepMs: 60_000, id: 'order-7' })
  const again = client.service(vendors).valibot.attach(call.id, { timeoutMs: 1000, signal: maybeSignal })
  is<Equal<Awaited<typeof again>, 'a' | 'b'>>()
  for await (const report of again.progress) is<Equal<typeof report, { percent: number }>>()
  const outcome = await img.resize.attach('order-7').outcome()
  if (outcome.status === 'error' && outcome.error.code === 'TOO_BIG')
    is<Equal<typeof outcome.error.data.limit, number>>()
  await img.resize.send({ path: 'a' }, { keepMs: 60_000, delayMs: 1000 })
  // @ts-expect-error an awaited call has its outcome already
  await img.resize({ path: 'a' }, { keepMs: 60_000 })
  // @ts-expect-error nobody answers a one-way send
  await img.audit.send({ who: 'me' }, { keepMs: 60_000 })
  // @ts-expect-error so there is nothing to attach to
  void img.audit.attach('order-7')
  // @ts-expect-error one id for many calls
  img.resize.map([{ path: 'a' }], { id: 'order-7' })
}

export async function outcomes(): Promise<string | number | undefined> {
  const outcome = await img.resize.start({ path: 'a' }).outcome()
  if (outcome.status === 'ok') {
    is<Equal<typeof outcome.value, Resized>>()
    // @ts-expect-error there is no error beside a value
    void outcome.error
    return undefined
  }
  const { error } = outcome
  is<Equal<typeof error.executed, 'no' | 'unknown' | 'yes'>>()
  switch (error.code) {
    case 'NOT_FOUND':
      is<Equal<typeof error.data, { path: string }>>()
      return error.data.path
    case 'TOO_BIG':
      return error.data.limit
    case 'TIMEOUT':
      // @ts-expect-error an error of the library has no data
      void error.data
      return error.callId
    // @ts-expect-error a code that can never come
    case 'TIME_OUT':
      return undefined
    default:
      is<Equal<typeof error.code, Exclude<ErrorCode, 'TIMEOUT'>>>()
      return undefined
  }
}

export async function caught(): Promise<unknown> {
  try {
    return await img.resize({ path: '' })
  } catch (error) {
    if (!img.resize.isDeclaredError(error)) throw error
    is<Equal<typeof error.code, 'NOT_FOUND' | 'TOO_BIG'>>()
    return error.code === 'NOT_FOUND' ? error.data.path : error.data.limit
  }
}

export async function mapped(): Promise<void> {
  const run = img.resize.map([{ path: 'a' }], { inFlight: 8, ordered: true })
  for await (const item of run) {
    is<Equal<typeof item.index, number>>()
    is<Equal<typeof item.input, { path: string; width?: number | undefined }>>()
    if (item.status === 'ok') is<Equal<typeof item.value.at, Date>>()
    else if (item.error.code === 'NOT_FOUND') is<Equal<typeof item.error.data, { path: string }>>()
  }
  is<Equal<Awaited<ReturnType<typeof run.values>>, Resized[]>>()
  const { stored, failed } = await img.audit.sendMany([{ who: 'a' }])
  is<Equal<typeof stored, number>>()
  is<Equal<(typeof failed)[number]['error']['code'], ErrorCode>>()
}

export async function fromOtherVendors(): Promise<void> {
  const stub = client.service(vendors)
  is<Equal<Awaited<ReturnType<typeof stub.valibot>>, 'a' | 'b'>>()
  is<Equal<Awaited<ReturnType<typeof stub.arktype>>, number>>()
  await stub.union({ kind: 'x', x: 1 })
  await stub.union({ kind: 'y' })
  await stub.optional()
  await stub.optional({ a: 1 })
  await stub.tick.send()
  const outcome: Outcome<number, { TAKEN: void; BAD: { why: string } }> = await stub.arktype
    .start({ email: '' })
    .outcome()
  if (outcome.status === 'error' && outcome.error.code === 'TAKEN') is<Equal<typeof outcome.error.data, void>>()
  if (outcome.status === 'error' && outcome.error.code === 'BAD') is<Equal<typeof outcome.error.data.why, string>>()
}

export async function fromClasses(): Promise<void> {
  const stub = client.service(thumbs)
  is<Equal<Awaited<ReturnType<typeof stub.create>>, Clip>>()
  is<Equal<Awaited<ReturnType<typeof stub.ping>>, 'pong'>>()
  await stub.create({ path: '' })
  // @ts-expect-error a stream that the contract does not name
  void stub.pages
}

export function wrong(): void {
  // @ts-expect-error one-way methods have no call
  void img.audit({ who: 'x' })
  // @ts-expect-error no start on one-way
  void img.audit.start({ who: 'x' })
  // @ts-expect-error unknown method
  void img.rezise({ path: 'x' })
  // @ts-expect-error missing input
  void img.resize()
  // @ts-expect-error wrong type
  void img.resize({ path: 1 })
  // @ts-expect-error surplus field
  void img.resize({ path: '', height: 1 })
  // @ts-expect-error misspelt option
  void img.resize({ path: '' }, { timeout: 1 })
  // @ts-expect-error only sends are delayed
  void img.resize({ path: '' }, { delayMs: 1 })
  // @ts-expect-error one id for many sends
  void img.audit.sendMany([{ who: 'me' }], { id: 'order-7' })
  // @ts-expect-error headers are strings
  void img.resize({ path: '' }, { headers: { n: 1 } })
  // @ts-expect-error a method without input takes none
  void img.ping({ a: 1 })
  // @ts-expect-error one input each
  void img.resize.map({ path: '' })
  // @ts-expect-error the stub is read-only
  img.ping = otherPing
}
