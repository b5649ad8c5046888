import { randomUUID } from 'node:crypto'
import {
  connect,
  createClient,
  createWorker,
  type Broker,
  type Client,
  type ClientOptions,
  type Handlers,
  type LogLine,
  type ServeOptions,
  type Service,
  type Stub,
  type StubOptions,
  type Worker,
  type WorkerOptions,
} from 'replyto'
import { memory } from 'replyto/memory'
import { createTestClock, type TestClock } from './test-clock.ts'

export interface TestServiceOptions<S extends Service> {
  readonly client?: ClientOptions | undefined
  /** Its group is the stub's too. */
  readonly worker?: WorkerOptions | undefined
  readonly serve?: ServeOptions<S> | undefined
  readonly stub?: Omit<StubOptions, 'group'> | undefined
  /** Several services that live by one clock share it. @default one of its own */
  readonly clock?: TestClock | undefined
}

export interface TestService<S extends Service> extends AsyncDisposable {
  readonly stub: Stub<S>
  readonly client: Client
  readonly worker: Worker
  /** For further clients and workers. */
  readonly broker: Broker
  /** Its broker's, client's and worker's time. */
  readonly clock: TestClock
  /** What was logged: nothing goes to stderr. */
  readonly lines: readonly LogLine[]
  /** At once: what runs is cut off. */
  close(): Promise<void>
}

/**
 * A client and a started worker of this service on a memory broker of their own: calls go through the real codec and the
 * rules of every broker. `await using service = await testService(images, handlers)`, or `close()` at the end.
 *
 * @throws ConfigError as createWorker, serve and createClient do
 */
export async function testService<S extends Service>(
  service: S,
  handlers: Handlers<S>,
  options: TestServiceOptions<S> = {},
): Promise<TestService<S>> {
  const { clock = createTestClock() } = options
  const lines: LogLine[] = []
  const broker = await connect(memory({ name: `test-${randomUUID()}`, clock }), {
    log: (line) => void lines.push(line),
  })
  const close = (): Promise<void> => broker.close({ graceMs: 0 })
  try {
    const worker = await createWorker(broker, options.worker).serve(service, handlers, options.serve).start()
    const client = createClient(broker, options.client)
    const stub = client.service(service, { ...options.stub, group: options.worker?.group })
    return { stub, client, worker, broker, clock, lines, close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}
