import { onTestFinished } from 'vitest'
import type { AdapterFactory } from '../../broker-adapters/adapter.ts'
import { connect } from '../../broker-adapters/connect.ts'
import { createClient } from '../../client/create-client.ts'
import { jobs } from './load.ts'

/** What a connection that publishes all the time hears of its server, until the test ends. */
export async function hearStates(target: string | AdapterFactory): Promise<readonly string[]> {
  const states: string[] = []
  const broker = await connect(target)
  broker.onState((state) => states.push(state))
  const client = createClient(broker)
  const stub = client.service(jobs)
  let isOver = false
  const publishing = (async () => {
    for (let n = 0; !isOver; n++) await stub.note.send({ key: `state-${n}` }).catch(() => {})
  })()
  onTestFinished(async () => {
    isOver = true
    await client.close({ graceMs: 0 })
    await broker.close({ graceMs: 0 })
    await publishing
  })
  return states
}
