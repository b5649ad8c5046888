// What a user would write, with every entry of the package in it. Compiled by users' compilers as an ES module and as a
// CommonJS one, then run: `node program.js <URL>` prints one line of JSON. No syntax and no types newer than TypeScript 5.4.
import {
  CallError,
  ConfigError,
  connect,
  createClient,
  createWorker,
  DeclaredError,
  NonRetryableError,
  ReplytoError,
  RetryAfter,
  type Client,
  type ContextOf,
  type ErrorCode,
  type Handler,
  type HandlerInput,
  type HandlerOutput,
  type LogLine,
  type Middleware,
  type Outcome,
  type Worker,
} from 'replyto'
import { isFinalReply, type AdapterFactory, type BrokerAdapter, type PublishOutcome } from 'replyto/adapter'
import { defineService, describeService, method, methodsOf, type, type Service } from 'replyto/contract'
import { embedded, type EmbeddedOptions } from 'replyto/embedded'
import { memory } from 'replyto/memory'
import { fakeContext, testService } from 'replyto/testing'
import type { ConformanceOptions } from 'replyto/testing/conformance'

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- comparing two generic functions is the trick
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
/** Compiles only if the two types are the same: `same<Equal<A, B>>(true)`. */
function same<T extends true>(claim: T): T {
  return claim
}

interface Size {
  readonly width: number
  readonly height?: number | undefined
}

/** A Standard Schema of one's own: text in, number out. */
const digits = {
  '~standard': {
    version: 1 as const,
    vendor: 'program',
    validate: (value: unknown) =>
      typeof value === 'string' && /^[0-9]+$/.test(value)
        ? { value: Number(value) }
        : { issues: [{ message: 'digits are wanted' }] },
    types: undefined as { readonly input: string; readonly output: number } | undefined,
  },
}

const images = defineService('images', {
  version: '1.2.0',
  methods: {
    resize: method({
      input: type<Size>(),
      output: type<{ readonly area: number }>(),
      errors: { TOO_WIDE: type<{ readonly limit: number }>() },
      progress: type<number>(),
      timeoutMs: 10_000,
    }),
    count: method({ input: digits, output: type<number>() }),
    note: method({ input: type<string>(), oneWay: true }),
    flaky: method({ output: type<number>(), retry: { attempts: 2, minDelayMs: 1, maxDelayMs: 2 } }),
    hopeless: method({ retry: { attempts: 3, minDelayMs: 1 } }),
    ping: method({}),
  },
})
interface Api {
  greet(name: string): Promise<string>
}
const asService: Service = images
same<Equal<keyof (typeof images)['methods'], 'resize' | 'count' | 'note' | 'flaky' | 'hopeless' | 'ping'>>(true)

const resize: Handler<typeof images, 'resize'> = ({ width, height = 1 }, ctx) => {
  same<Equal<typeof height, number>>(true)
  ctx.progress(50)
  if (width > 100) throw ctx.fail('TOO_WIDE', { limit: 100 })
  // @ts-expect-error an error that the contract does not declare
  void (() => ctx.fail('TOO_SMALL'))
  return { area: width * height }
}

/** Handlers as a class: its methods say their types by name. */
class Images {
  readonly notes: string[] = []
  resize = resize
  #flaky = 0

  count(value: HandlerInput<typeof images, 'count'>): HandlerOutput<typeof images, 'count'> {
    same<Equal<typeof value, number>>(true)
    return value + 1
  }
  note(text: string, ctx: ContextOf<typeof images, 'note'>): void {
    this.notes.push(`${text} ${ctx.attempt}`)
  }
  flaky(): number {
    if (this.#flaky++ === 0) throw new RetryAfter(1)
    return this.#flaky
  }
  hopeless(): void {
    throw new NonRetryableError('never again')
  }
  async ping(_: void, { signal, remainingMs }: ContextOf<typeof images, 'ping'>): Promise<void> {
    if (signal.aborted || remainingMs() === 0) throw new Error('too late')
  }
}

const timed: Middleware = async (call, next) => {
  if (call.side === 'worker') seen.add(call.method)
  return await next()
}
const seen = new Set<string>()

/** An adapter around another one, as a test of one's own would have it. */
function watched(inner: AdapterFactory, outcomes: PublishOutcome[]): AdapterFactory {
  const watch = (adapter: BrokerAdapter): BrokerAdapter => ({
    ...adapter,
    async publish(queue, messages) {
      const all = await adapter.publish(queue, messages)
      outcomes.push(...all)
      return all
    },
  })
  return { '~adapter': inner['~adapter'], url: inner.url, create: () => watch(inner.create()) }
}

function describeOutcome(
  outcome: Outcome<{ readonly area: number }, { TOO_WIDE: { readonly limit: number } }>,
): string {
  if (outcome.status === 'ok') return String(outcome.value.area)
  const { error } = outcome
  same<Equal<typeof error.executed, 'no' | 'yes' | 'unknown'>>(true)
  if (error.code === 'TOO_WIDE') {
    same<Equal<typeof error.data, { readonly limit: number }>>(true)
    return `at most ${error.data.limit}`
  }
  const code: ErrorCode = error.code
  return code
}

/** What an author of an adapter writes. */
export function suiteOf(capabilities: ConformanceOptions['capabilities']): ConformanceOptions {
  return { name: 'mine', target: (namespace) => memory({ name: namespace }), capabilities }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'none'
  } catch (error) {
    return error instanceof ReplytoError ? `${error.name} ${error.code} ${error.executed}` : 'not one of ours'
  }
}

async function useBroker(url: string): Promise<Record<string, unknown>> {
  const lines: LogLine[] = []
  const outcomes: PublishOutcome[] = []
  const directory: EmbeddedOptions | undefined = url.startsWith('file:')
    ? { dir: url.slice('file:'.length) }
    : undefined
  const target = watched(directory === undefined ? memory({ name: 'program' }) : embedded(directory), outcomes)
  const broker = await connect(target, { namespace: 'program', log: (line) => void lines.push(line) })
  const handlers = new Images()
  const worker: Worker = createWorker(broker, { concurrency: 4, middleware: [timed] })
  await worker.serve(images, handlers).start()
  const client: Client = createClient(broker, { name: 'program', middleware: [timed] })
  const stub = client.service(images)

  const area = await stub.resize({ width: 3, height: 4 })
  same<Equal<typeof area, { readonly area: number }>>(true)
  const call = stub.resize.start({ width: 101 }, { timeoutMs: 5_000 })
  const reports: number[] = []
  for await (const report of call.progress) {
    same<Equal<typeof report, number>>(true)
    reports.push(report)
  }
  const declared: unknown = await call.catch((error: unknown) => error)
  const mapped: number[] = []
  for await (const item of stub.count.map(['1', '2', '3'], { ordered: true, inFlight: 2 }))
    if (item.status === 'ok') mapped.push(item.value)
  const { id } = await stub.note.send('noted')
  await stub.ping()
  // @ts-expect-error no such field
  void (() => stub.resize({ widht: 3 }))
  // @ts-expect-error one way: it cannot be awaited
  void (() => stub.note('noted'))
  const result = {
    area: area.area,
    reports,
    declared: declared instanceof DeclaredError && stub.resize.isDeclaredError(declared) && declared.data.limit,
    outcomes: [describeOutcome(await call.outcome()), describeOutcome(await stub.resize.start({ width: 2 }).outcome())],
    mapped,
    refused: await codeOf(stub.count('x')),
    flaky: await stub.flaky(),
    hopeless: await codeOf(stub.hopeless()),
    hasId: id.length > 0,
  }
  await worker.close()
  const unanswered = await stub.ping(undefined, { failFast: true }).catch((error: unknown) => error)
  await client.close()
  await broker.close()
  return {
    ...result,
    notes: handlers.notes,
    noWorker: unanswered instanceof CallError && unanswered.code,
    stored: outcomes.every(({ status }) => status === 'stored'),
    middleware: [...seen],
    logged: lines.filter(({ level }) => level === 'error').map(({ code }) => code),
  }
}

/** What a user's own tests do. */
async function useTesting(): Promise<unknown[]> {
  const handlers = new Images()
  const service = await testService(images, handlers)
  await service.stub.note.send('later', { delayMs: 3_600_000 })
  await service.clock.advance(3_600_000)
  const { area } = await service.stub.resize({ width: 3, height: 2 })
  await service.close()
  const ctx = fakeContext(images, 'resize')
  same<Equal<(typeof ctx)['reports'], readonly number[]>>(true)
  const failed = ctx.fail('TOO_WIDE', { limit: 1 })
  same<Equal<typeof failed.data, { readonly limit: number }>>(true)
  return [handlers.notes[0]?.split(' ')[0], area, failed.code]
}

async function main(): Promise<void> {
  const url = process.argv[2] ?? 'memory:program'
  let badUrl: unknown
  try {
    createClient('nonsense:')
  } catch (error) {
    badUrl = error instanceof ConfigError && error.code
  }
  const used = await useBroker(url)
  const text = JSON.stringify({
    ...used,
    tested: await useTesting(),
    badUrl,
    methods: Object.keys(describeService(asService).methods),
    derived: Object.keys(methodsOf<Api>()({ greet: { timeoutMs: 500 } })),
    isFinal: isFinalReply('chunk'),
  })
  console.log(text)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
