import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { embedded } from '../../broker-adapters/embedded/index.ts'
import { describeConformance } from './suite.ts'

const dir = mkdtempSync(join(tmpdir(), 'replyto-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

describeConformance({
  name: 'embedded',
  target: () => embedded({ dir }),
  capabilities: embedded({ dir }).create().capabilities,
})
