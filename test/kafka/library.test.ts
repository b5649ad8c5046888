import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PACKAGE = ['index.js', 'contract', 'protocol', 'broker-adapters', 'client', 'worker']

/** The package as it is installed by somebody who has no kafkajs, or another one: compiled, in a directory of its own. */
function installWith(kafkajs: string | undefined): string {
  const dir = mkdtempSync(join(tmpdir(), 'replyto-bare-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  for (const name of PACKAGE) cpSync(join(ROOT, 'dist', name), join(dir, name), { recursive: true })
  mkdirSync(join(dir, 'node_modules'))
  symlinkSync(join(ROOT, 'node_modules/cbor-x'), join(dir, 'node_modules/cbor-x'))
  if (kafkajs !== undefined) {
    mkdirSync(join(dir, 'node_modules/kafkajs'))
    writeFileSync(join(dir, 'node_modules/kafkajs/package.json'), JSON.stringify({ name: 'kafkajs', version: kafkajs }))
  }
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }')
  return dir
}

const PROGRAM = `
import { connect, createClient, createWorker, defineService, method } from './index.js'
const facts = ({ name, code, message }) => ({ name, code, message })
const url = 'kafka://127.0.0.1:1'
const jobs = defineService('jobs', { methods: { work: method({}) } })
const client = createClient(url)
const worker = createWorker(url).serve(jobs, { work() {} })
const tries = [connect(url), client.ready(), worker.start(), client.service(jobs).work(null)]
const errors = await Promise.all(tries.map((one) => one.then(() => 'connected', facts)))
console.log(JSON.stringify(errors))
await Promise.all([client.close({ graceMs: 0 }), worker.close({ graceMs: 0 })])
`

test.each([
  ['without kafkajs the error says how to install it', undefined, 'npm i kafkajs@2.2.4'],
  ['with one whose insides are not known it says which one is', '3.0.0', 'found 3.0.0: npm i kafkajs@2.2.4'],
])('%s, at once and to everybody', async (_, version, advice) => {
  const cwd = installWith(version)
  writeFileSync(join(cwd, 'program.js'), PROGRAM)
  const { stdout } = await promisify(execFile)(process.execPath, ['program.js'], { cwd, timeout: 15_000 })
  const errors: unknown = JSON.parse(stdout)
  const said = { code: 'CONFIG', message: expect.stringContaining(advice) as unknown }
  expect(errors).toMatchObject([said, said, said, said])
})
