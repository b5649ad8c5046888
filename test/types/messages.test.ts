import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'

const FIXTURES = fileURLToPath(new URL('../fixtures/types/', import.meta.url))
const TSC = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url))

let output = ''

beforeAll(() => {
  const ran = spawnSync(TSC, ['-p', '.', '--pretty', 'false'], { cwd: FIXTURES, encoding: 'utf8' })
  output = ran.stdout + ran.stderr
}, 120_000)

/** What the compiler says of one file, with its further lines. */
function messagesOf(file: string): string {
  const blocks = output.split(/\n(?=\S)/)
  return blocks.filter((block) => block.startsWith(`${file}.ts(`)).join('\n')
}

test.each([
  ['reserved-error-code', 3, 'this code belongs to replyto: choose another name'],
  ['one-way-with-output', 3, 'a oneWay method has no output'],
  ['misspelt-field', 3, "'inptu' does not exist"],
  ['misspelt-field', 3, "Did you mean to write 'input'?"],
  ['unknown-method', 3, "Property 'rezise' does not exist on type 'Stub<"],
  ['missing-input', 3, 'Expected 1-2 arguments, but got 0.'],
  ['misspelt-option', 3, "'timeoutms' does not exist in type 'CallOptions'. Did you mean to write 'timeoutMs'?"],
  ['undeclared-failure', 10, `Argument of type '"NOT_FUOND"' is not assignable to parameter of type '"NOT_FOUND"'.`],
])('%s, line %i: %s', (file, line, message) => {
  const messages = messagesOf(file)
  expect(messages).toContain(`${file}.ts(${line},`)
  expect(messages).toContain(message)
  expect(messages.match(/error TS/g)).toHaveLength(1)
})

test.each(['contract', 'client', 'correct'])('%s has no errors', (file) => {
  expect(messagesOf(file)).toBe('')
})
