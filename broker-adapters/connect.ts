import type { Broker, ConnectOptions } from './broker.ts'
import { createBrokerCore, type OwnedCore } from './broker-core.ts'
import { assertConnectOptions, checkedGraceMs } from './connect-options.ts'
import { readTarget, type TargetOption } from './target.ts'

/**
 * Connects to a broker that several clients and workers of this process share.
 *
 * @param target a URL (`file:./.replyto`, `memory:name`) or what an adapter's function gives. @default REPLYTO_URL, else `file:./.replyto`
 * @throws ConfigError (CONFIG) for a bad URL or option; BrokerError BROKER_UNAVAILABLE after `connectTimeoutMs`;
 *   BROKER_REFUSED at once where dialling again cannot mend it.
 */
export async function connect(target?: TargetOption, options: ConnectOptions = {}): Promise<Broker> {
  assertConnectOptions(options)
  const broker = openBroker(target, options)
  try {
    await broker['~core'].ready()
    return broker
  } catch (error) {
    await broker.close({ graceMs: 0 })
    throw error
  }
}

/** The same without waiting: it dials in the background. A bad URL or option is thrown at once. */
export function openBroker(target?: TargetOption, options: ConnectOptions = {}): Broker {
  const core = createBrokerCore(readTarget(target), options)
  return brokerOf(core)
}

function brokerOf(core: OwnedCore): Broker {
  const close = async ({ graceMs }: { readonly graceMs?: number | undefined } = {}): Promise<void> =>
    core.close({ graceMs: checkedGraceMs(graceMs) })
  return {
    url: core.url,
    get capabilities() {
      return core.capabilities()
    },
    get state() {
      return core.state
    },
    onState: (listener) => core.onState(listener),
    close,
    [Symbol.asyncDispose]: () => close(),
    '~core': core,
  }
}
