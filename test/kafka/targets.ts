import { onTestFinished } from 'vitest'
import type { AdapterFactory } from '../../broker-adapters/adapter.ts'
import { kafka, type KafkaOptions } from '../../broker-adapters/kafka/index.ts'
import { startKafka, type KafkaOptions as ServerOptions, type OwnKafka } from '../support/kafka.ts'

/** Of a server of one's own: who says nothing is given up sooner than it allows by default. */
export const SHORT_SESSIONS = 'group.min.session.timeout.ms=500\n'
const SESSION_MS = 2_000

/** Few partitions and, at a server that allows them, short sessions: a test waits for the rest of what a dead worker held. */
export function small(url: string, more: Omit<KafkaOptions, 'url'> = {}): AdapterFactory {
  return kafka({ url, partitions: 4, replyPartitions: 2, sessionMs: SESSION_MS, ...more })
}

/** Until the test ends. */
export async function ownServer(options: ServerOptions = {}): Promise<OwnKafka> {
  const server = await startKafka({ ...options, config: `${SHORT_SESSIONS}${options.config ?? ''}` })
  onTestFinished(() => server.end())
  return server
}
