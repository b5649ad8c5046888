import { defineService, method, methodsOf, type } from '../../contract/index.ts'
import type { CallMethod, ErrorCode, OneWayMethod, Service } from '../../contract/index.ts'
import { bank, images, thumbs, vendors, type Clip, type Thumbs } from './contracts.ts'
import { is, type Equal } from './equal.ts'

interface Fails {
  NOT_FOUND: { path: string }
  TOO_BIG: { limit: number }
}
type FieldsOf<M> = M extends { readonly '~types'?: infer T } ? NonNullable<T> : never

// the name is a literal, the methods keep theirs
is<Equal<typeof images.name, 'images'>>()
is<Equal<keyof typeof images.methods, 'resize' | 'audit' | 'typed' | 'ping'>>()
images satisfies Service

// each side of a schema: what is passed and what is received
type Resize = FieldsOf<typeof images.methods.resize>
is<Equal<Resize['in'], { path: string; width?: number | undefined }>>()
is<Equal<Resize['arg'], { path: string; width: number }>>()
is<Equal<Resize['out'], { bytes: Uint8Array<ArrayBuffer>; at: Date }>>()
is<Equal<Resize['ret'], { bytes: Uint8Array<ArrayBuffer>; at: string }>>()
is<Equal<Resize['fail']['NOT_FOUND'], Fails['NOT_FOUND']>>()
is<Equal<Resize['fail']['TOO_BIG'], Fails['TOO_BIG']>>()
is<Equal<keyof Resize['fail'], keyof Fails>>()
is<Equal<Resize['progress'], never>>()

// what is left out is void
is<Equal<typeof images.methods.ping, CallMethod<void, void>>>()
is<Equal<typeof images.methods.audit, OneWayMethod<{ who: string }>>>()
is<Equal<typeof vendors.methods.tick, OneWayMethod<void>>>()

// the same from every vendor
is<Equal<FieldsOf<typeof vendors.methods.valibot>['in'], { n?: number | undefined }>>()
is<Equal<FieldsOf<typeof vendors.methods.valibot>['arg'], { n: number }>>()
is<Equal<FieldsOf<typeof vendors.methods.valibot>['progress'], { percent: number }>>()
is<Equal<FieldsOf<typeof vendors.methods.arktype>['in'], { email: string }>>()
is<Equal<FieldsOf<typeof vendors.methods.arktype>['out'], number>>()
is<Equal<FieldsOf<typeof vendors.methods.arktype>['fail']['TAKEN'], void>>()
is<Equal<FieldsOf<typeof vendors.methods.arktype>['fail']['BAD'], { why: string }>>()
is<Equal<FieldsOf<typeof vendors.methods.arktype>['failArg']['BAD'], { why?: string | undefined }>>()

// keyed is part of the type
is<
  Equal<
    typeof bank.methods.post,
    CallMethod<{ account: string }, number, {}, { account: string }, number, {}, never, true>
  >
>()
is<Equal<typeof bank.methods.note, OneWayMethod<{ account: string }, { account: string }, true>>>()
is<Equal<typeof bank.methods.hurry, CallMethod<void, void>>>()
bank satisfies Service

// a contract from a class: promises are unwrapped, the context is no part of it
is<Equal<typeof thumbs.methods.create, CallMethod<{ path: string }, Clip>>>()
is<Equal<typeof thumbs.methods.ping, CallMethod<void, 'pong'>>>()

// options may be undefined on purpose: values from elsewhere are passed on
declare const maybe: number | undefined
method({ timeoutMs: maybe, retry: { attempts: maybe }, input: undefined })
defineService('a', { version: undefined, encoding: undefined, methods: { ping: method({}) } })

// the closed list of codes is part of the contract's types
'TIMEOUT' satisfies ErrorCode
// @ts-expect-error a code that is not in the list
'TIME_OUT' satisfies ErrorCode

// @ts-expect-error misspelt field
method({ timeout: 5 })
// @ts-expect-error misspelt field inside retry
method({ retry: { attempt: 5 } })
// @ts-expect-error a code of the library cannot be declared
method({ errors: { TIMEOUT: type<void>() } })
// @ts-expect-error a oneWay method has no output
method({ input: type<1>(), output: type<2>(), oneWay: true })
// @ts-expect-error order and priority contradict each other
method({ keyed: true, priority: true })
// @ts-expect-error an input is a schema, not an example
method({ input: { path: 'string' } })
// @ts-expect-error times are numbers with their unit
method({ timeoutMs: '5s' })
// @ts-expect-error there is no such encoding
defineService('a', { encoding: 'xml', methods: { ping: method({}) } })
// @ts-expect-error misspelt field
defineService('a', { versoin: '1.0.0', methods: { ping: method({}) } })
// @ts-expect-error a method is made by method({…})
defineService('a', { methods: { ping: {} } })
// @ts-expect-error a service is frozen
images.version = '2.0.0'

// @ts-expect-error size is no method
methodsOf<Thumbs>()({ size: {} })
// @ts-expect-error protected stays protected
methodsOf<Thumbs>()({ secret: {} })
// @ts-expect-error streams are not of this version
methodsOf<Thumbs>()({ pages: {} })
// @ts-expect-error schemas have no place here: types only
methodsOf<Thumbs>()({ create: { input: type<string>() } })
