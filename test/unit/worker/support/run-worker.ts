import type { BrokerAdapter } from '../../../../broker-adapters/adapter.ts'
import type { Service } from '../../../../contract/types.ts'
import { buildWorker, type WorkerSetup } from '../../../../worker/create-worker.ts'
import { resolveWorkerOptions } from '../../../../worker/options.ts'
import type { Handlers, ServeOptions, WorkerOptions } from '../../../../worker/types.ts'
import { createCaller, testBroker } from './caller.ts'

export interface RunOptions<S extends Service> extends Pick<WorkerSetup, 'now' | 'random'> {
  readonly options?: WorkerOptions
  readonly serve?: ServeOptions<S>
  readonly bend?: (adapter: BrokerAdapter) => BrokerAdapter
}

/** A broker, a worker that runs, and a caller that speaks the wire by hand. */
export async function runWorker<S extends Service>(
  service: S,
  handlers: Handlers<S>,
  { options = {}, serve, bend, ...clock }: RunOptions<S> = {},
) {
  const { broker, log } = await testBroker(bend)
  const caller = await createCaller(broker, service)
  const worker = buildWorker({ broker, isOwned: false, options: resolveWorkerOptions(options), ...clock })
  await worker.serve(service, handlers, serve).start()
  return { broker, log, caller, worker, [Symbol.asyncDispose]: () => broker.close({ graceMs: 0 }) }
}
