import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { apiText } from '../../scripts/api-text.ts'
import { ERROR_CODES } from '../../protocol/error-codes.ts'

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

/** The cells of the rows of every table whose first heading is this. */
function rowsOf(markdown: string, heading: string): string[][] {
  const rows: string[][] = []
  let isInside = false
  for (const line of markdown.split('\n')) {
    const cells = line.startsWith('|')
      ? line
          .slice(1, -1)
          .split(/(?<!\\)\|/)
          .map((cell) => cell.trim())
      : undefined
    if (cells === undefined) isInside = false
    else if (cells[0] === heading) isInside = true
    else if (isInside && !/^-+$/.test(cells[0] ?? '')) rows.push(cells)
  }
  return rows
}

test('docs/errors.md lists exactly the table of codes', () => {
  const documented = rowsOf(read('docs/errors.md'), 'code').filter((cells) => cells.length > 3)
  const table = Object.entries(ERROR_CODES).map(([code, { by, retryable, sentence }]) => [
    `\`${code}\``,
    by,
    retryable ? 'yes' : 'no',
    sentence,
  ])
  expect(documented.map((cells) => cells.slice(0, 4))).toEqual(table)
})

test.each([
  ['client', 'client/client-counters.ts'],
  ['worker', 'worker/worker-counters.ts'],
])('docs/errors.md lists exactly the counters of the %s', (heading, source) => {
  const documented = rowsOf(read('docs/errors.md'), heading).map(([name, meaning]) => [
    name?.replaceAll('`', ''),
    meaning,
  ])
  const text = read(source)
  const commented = rowsOf(text.replaceAll(/^ \* /gm, ''), 'name')
  const typed = [...(text.split('export type')[1] ?? '').matchAll(/'(\w+)'/g)].map((match) => match[1])
  expect(documented).toEqual(commented)
  expect(commented.map(([name]) => name)).toEqual(typed)
})

/** A function, or a function-valued member of an object, of this name: not a mere call. */
function definitionOf(name: string): RegExp {
  return new RegExp(`function\\*? ${name}\\b|^ +(async )?${name}(<[^>]*>)?\\([^()]*\\).*\\{$|^ +${name}: `, 'm')
}

test('docs/architecture.md names functions that exist, step by step', () => {
  const steps = rowsOf(read('docs/architecture.md'), 'step')
  expect(steps.length).toBeGreaterThan(20)
  for (const [step, file, functions] of steps) {
    const source = read(file?.replaceAll('`', '') ?? '')
    for (const name of functions?.match(/`[^`]+`/g) ?? []) {
      const plain = name.replaceAll('`', '')
      expect(source, `${step}: ${plain} in ${file}`).toMatch(definitionOf(plain))
    }
  }
})

test('the pages that the README promises are there and every relative link leads somewhere', () => {
  for (const page of [
    'README.md',
    'CONTRIBUTING.md',
    ...['architecture', 'protocol', 'semantics', 'errors', 'embedded', 'rabbitmq', 'adding-an-adapter', 'testing'].map(
      (name) => `docs/${name}.md`,
    ),
  ]) {
    const folder = page.includes('/') ? 'docs/' : ''
    for (const [, link] of read(page).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      expect(
        () => read(new URL(link ?? '', `file:///${folder}`).pathname.slice(1)),
        `${page} links to ${link}`,
      ).not.toThrow()
    }
  }
})

test('the README shows the quick start as it is', () => {
  expect(read('README.md')).toContain(read('examples/quick-start.mjs'))
})

test('docs/api.md is what the declarations say; npm run api writes it', () => {
  const root = fileURLToPath(new URL('../../', import.meta.url))
  expect(read('docs/api.md')).toBe(apiText(join(root, 'package.json'), join(root, 'dist')))
})
