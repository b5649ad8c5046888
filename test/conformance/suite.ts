import { afterAll, describe, expect, test } from 'vitest'
import type { AdapterFactory, Capabilities } from '../../broker-adapters/adapter.ts'
import { createCaseContext } from './case-context.ts'
import type { ConformanceCase } from './case.ts'
import { CASES } from './cases.ts'
import { INVARIANTS, ROWS, SEAM_TOPICS } from './rows.ts'

export interface ConformanceOptions {
  /** Of the broker, in titles and in the table. */
  readonly name: string
  /** What a case connects to. Clocks that the suite would wait for are shortened in the adapter's own options. */
  readonly target: (namespace: string) => AdapterFactory
  /** What this adapter says of itself; a case compares, and what it cannot do is skipped by it. */
  readonly capabilities: Capabilities
  /** @default 20_000 */
  readonly caseTimeoutMs?: number | undefined
  /** Titles of cases that this adapter cannot pass yet. */
  readonly skip?: readonly { readonly case: string; readonly reason: string }[] | undefined
}

/** Every rule on one broker. A case has a namespace of its own, so cases run side by side. */
export function describeConformance(options: ConformanceOptions): void {
  const { name, capabilities, target, skip = [], caseTimeoutMs = 20_000 } = options
  const settings = { capabilities, target }
  const skipped: string[] = []
  const beside = CASES.filter(({ isAlone }) => !isAlone)
  const alone = CASES.filter(({ isAlone }) => isAlone)

  describe(`conformance: ${name}`, { timeout: caseTimeoutMs }, () => {
    describe.concurrent('side by side', () => {
      beside.forEach(register)
    })
    describe.sequential('alone', () => {
      alone.forEach(register)
    })
    describe('suite', () => {
      registerSelfChecks(options, settings)
    })
    afterAll(() => {
      for (const line of skipped) console.log(`skipped on ${name}: ${line}`)
    })
  })

  function register(one: ConformanceCase): void {
    const reason = one.skipOn(capabilities) ?? skip.find((entry) => entry.case === one.title)?.reason
    if (reason !== undefined) {
      skipped.push(`${one.title} (${reason})`)
      return test.skip(`${one.title} [${reason}]`, () => {})
    }
    test(one.title, async () => {
      const { t, end } = createCaseContext(settings)
      try {
        await one.run(t)
      } finally {
        await end()
      }
    })
  }
}

function registerSelfChecks(
  { capabilities, skip = [] }: ConformanceOptions,
  settings: Parameters<typeof createCaseContext>[0],
): void {
  test('the adapter has the capabilities that its file declares', async () => {
    const { t, end } = createCaseContext(settings)
    try {
      expect((await t.adapter()).capabilities).toEqual(capabilities)
    } finally {
      await end()
    }
  })

  test('every row, topic and invariant has a case, and no title comes twice', () => {
    const rows = new Set<string>(CASES.map(({ row }) => row))
    expect([...Object.keys(ROWS), ...Object.keys(SEAM_TOPICS)].filter((row) => !rows.has(row))).toEqual([])
    const titles = CASES.map(({ title }) => title)
    expect(INVARIANTS.filter((invariant) => !titles.includes(invariant))).toEqual([])
    expect(titles.filter((title, index) => titles.indexOf(title) !== index)).toEqual([])
  })

  test('every skip with a reason names a case', () => {
    const titles = new Set(CASES.map(({ title }) => title))
    expect(skip.filter((entry) => !titles.has(entry.case))).toEqual([])
  })
}
