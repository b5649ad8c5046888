// Two copies of the package in one process: a contract of copy A, served by copy B, called by A; errors of one are
// recognised by the other. `node two-copies.mjs <directory>` prints one line of JSON.
import * as a from 'replyto'
import * as b from 'replyto-b'

const url = `file:${process.argv[2]}`
const contract = a.defineService('shared', {
  methods: {
    find: a.method({ errors: { MISSING: a.type() } }),
    once: a.method({ retry: { attempts: 5 } }),
    twice: a.method({ output: a.type(), retry: { attempts: 2 } }),
  },
})
let runs = 0
let attempts = 0
const worker = b.createWorker(url, { log: () => {} }).serve(contract, {
  find(_, ctx) {
    throw ctx.fail('MISSING', 'nothing there')
  },
  once() {
    runs++
    throw new a.NonRetryableError('not again')
  },
  twice() {
    if (++attempts === 1) throw new a.RetryAfter(1)
    return attempts
  },
})
await worker.start()

const broker = await a.connect(url)
const client = b.createClient(broker) // a broker of A, a client of B
const stub = client.service(contract)
const other = a.createClient(broker).service(contract)

const reasonOf = (promise) =>
  promise.then(
    () => undefined,
    (error) => error,
  )
const thrownBy = (run) => {
  try {
    run()
    return undefined
  } catch (error) {
    return error
  }
}
const classesOf = (error) =>
  ['ReplytoError', 'RemoteError', 'DeclaredError', 'CallError', 'BrokerError', 'ConfigError'].filter(
    (name) => error instanceof Reflect.get(a, name) && error instanceof Reflect.get(b, name),
  )
const missing = await reasonOf(stub.find())
const config = thrownBy(() => b.createClient('nonsense:'))
const result = {
  isTwo: a.ReplytoError !== b.ReplytoError,
  missing: [missing.code, missing.data, ...classesOf(missing)],
  isDeclared: other.find.isDeclaredError(missing),
  once: [(await reasonOf(other.once())).code, runs],
  twice: await stub.twice(),
  config: classesOf(config),
}
await broker.close()
result.closed = classesOf(await reasonOf(other.find()))
await worker.close()
console.log(JSON.stringify(result))
