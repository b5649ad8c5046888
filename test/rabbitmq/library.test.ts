import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PACKAGE = ['index.js', 'contract', 'protocol', 'broker-adapters', 'client', 'worker']

/** The package as it is installed by somebody who has no amqplib: compiled, in a directory of its own. */
function installWithoutAmqplib(): string {
  const dir = mkdtempSync(join(tmpdir(), 'replyto-bare-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  for (const name of PACKAGE) cpSync(join(ROOT, 'dist', name), join(dir, name), { recursive: true })
  mkdirSync(join(dir, 'node_modules'))
  symlinkSync(join(ROOT, 'node_modules/cbor-x'), join(dir, 'node_modules/cbor-x'))
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }')
  return dir
}

const PROGRAM = `
import { connect, createClient, createWorker, defineService, method } from './index.js'
const facts = ({ name, code, message }) => ({ name, code, message })
const url = 'amqp://127.0.0.1:1'
const jobs = defineService('jobs', { methods: { work: method({}) } })
const client = createClient(url)
const worker = createWorker(url).serve(jobs, { work() {} })
const tries = [connect(url), client.ready(), worker.start(), client.service(jobs).work(null)]
const errors = await Promise.all(tries.map((one) => one.then(() => 'connected', facts)))
console.log(JSON.stringify(errors))
await Promise.all([client.close({ graceMs: 0 }), worker.close({ graceMs: 0 })])
`

test('without amqplib the error says how to install it, at once and to everybody', async () => {
  const cwd = installWithoutAmqplib()
  writeFileSync(join(cwd, 'program.js'), PROGRAM)
  const { stdout } = await promisify(execFile)(process.execPath, ['program.js'], { cwd, timeout: 15_000 })
  const errors: unknown = JSON.parse(stdout)
  const said = { code: 'CONFIG', message: expect.stringContaining('npm i amqplib') as unknown }
  expect(errors).toMatchObject([said, said, said, said])
})
