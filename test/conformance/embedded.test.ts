import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import type { Broker } from '../../broker-adapters/broker.ts'
import { connect } from '../../broker-adapters/connect.ts'
import { embedded } from '../../broker-adapters/embedded/index.ts'
import { describeConformance } from './suite.ts'

const dir = mkdtempSync(join(tmpdir(), 'replyto-'))
// One connection keeps the hub while the cases' own come and go: hand-overs are the matter of test/chaos.
let keeper: Broker | undefined
beforeAll(async () => void (keeper = await connect(embedded({ dir }))))
afterAll(async () => {
  await keeper?.close()
  rmSync(dir, { recursive: true, force: true })
})

describeConformance({
  name: 'embedded',
  target: () => embedded({ dir, host: 'never' }),
  capabilities: {
    removesQueued: true,
    provesFirstDelivery: true,
    knowsGone: true,
    isPartitioned: false,
    dedupeMs: 600_000,
    maxKeepMs: 31_536_000_000,
    ackTimeoutMs: undefined,
    recoveryMs: 0,
    maxMessageBytes: 16 * 1024 * 1024,
    storedMeans: 'disk',
  },
})
