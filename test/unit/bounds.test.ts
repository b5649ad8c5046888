import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const doc = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8')
const rows = [...doc.slice(doc.indexOf('## Bounds')).matchAll(/^\| `([^`]+)` \|/gm)].map(([, name = '']) => name)
const sources = ['worker/strangers', 'worker/reply-addresses', 'client/strangers', 'embedded/strangers'].map((name) =>
  readFileSync(new URL(`${name}.test.ts`, import.meta.url), 'utf8'),
)

/** As the title of a test, or as a row of the tables that the tests walk through. */
function isTested(name: string): boolean {
  return sources.some(
    (source) =>
      source.includes(`'bound: ${name}`) ||
      new RegExp(`^  (?:'${name}'|${name}): \\[|\\[?'${name}', '|\\['${name}',$|^    '${name}',$`, 'm').test(source),
  )
}

test('every bound of docs/protocol.md has a test of its name', () => {
  expect(rows.length).toBeGreaterThan(25)
  expect(rows.filter((name) => !isTested(name))).toEqual([])
  expect(isTested('a bound that nobody tests')).toBe(false)
})
