import { existsSync, linkSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { removeLeftovers } from '../../../broker-adapters/embedded/leftovers.ts'
import { findProblem } from '../../../broker-adapters/embedded/store-check.ts'
import { openEmbedded } from '../../support/embedded-adapter.ts'
import { makeDirectory } from '../../support/embedded-processes.ts'

let root = ''
let dir = ''
const servers: Server[] = []

beforeEach(() => {
  const made = makeDirectory()
  root = made.root
  dir = made.dir
  mkdirSync(dir, { mode: 0o700 })
})
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve))
  rmSync(root, { recursive: true, force: true })
})

async function listen(name: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(join(dir, name), resolve))
  servers.push(server)
  return server
}
/** As a process leaves it that is killed: closing a server in order removes its file. */
async function leaveSocket(name: string): Promise<void> {
  const server = await listen('s-1-last.sock')
  linkSync(join(dir, 's-1-last.sock'), join(dir, name))
  servers.splice(servers.indexOf(server), 1)
  await new Promise((resolve) => server.close(resolve))
}
function makeOld(...names: string[]): void {
  const longAgo = new Date(Date.now() - 60_000)
  for (const name of names) utimesSync(join(dir, name), longAgo, longAgo)
}
function areThere(...names: string[]): boolean[] {
  return names.map((name) => existsSync(join(dir, name)))
}

test('sockets of killed processes are removed, those of living and of young ones are not', async () => {
  await leaveSocket('s-1-dead.sock')
  await leaveSocket('s-1-young.sock')
  await listen('s-1-living.sock')
  makeOld('s-1-dead.sock', 's-1-living.sock')
  await removeLeftovers(dir, 5)
  expect(areThere('s-1-dead.sock', 's-1-young.sock', 's-1-living.sock')).toEqual([false, true, true])
})

test('drafts of killed processes are removed, those that may still be used are not', async () => {
  for (const name of ['draft-1-s.sock', 'draft-2-s.sock', 'journal-4.draft-1', 'journal-6.draft-1'])
    writeFileSync(join(dir, name), '')
  for (const name of ['store-4.draft-1', 'store-6.draft-1']) mkdirSync(join(dir, name))
  makeOld('draft-1-s.sock')
  await removeLeftovers(dir, 5)
  expect(areThere('draft-1-s.sock', 'journal-4.draft-1', 'store-4.draft-1')).toEqual([false, false, false])
  expect(areThere('draft-2-s.sock', 'journal-6.draft-1', 'store-6.draft-1')).toEqual([true, true, true])
})

test('a hub removes what it finds when it becomes one', async () => {
  await leaveSocket('s-1-dead.sock')
  makeOld('s-1-dead.sock')
  const opened = openEmbedded({ dir })
  await opened.start()
  await expect.poll(() => areThere('s-1-dead.sock')).toEqual([false])
  await opened.adapter.stop()
})

test.each([
  ['process.exit(0)', undefined],
  ['process.exit(1)', undefined],
  ["process.kill(process.pid, 'SIGKILL')", undefined],
  ["process.kill(process.pid, 'SIGSEGV')", 'reading it ended with SIGSEGV'],
  ["process.kill(process.pid, 'SIGBUS')", 'reading it ended with SIGBUS'],
  ["console.error('page'); process.exitCode = 86", 'reading it ended with page'],
])('a process that reads a store and ends by %s says: %s', async (program, verdict) => {
  const file = join(root, 'scan.mjs')
  writeFileSync(file, program)
  const logs: string[] = []
  const said = await findProblem('none', (_level, code) => logs.push(code), pathToFileURL(file))
  expect(said).toBe(verdict)
  expect(logs).toEqual(verdict === undefined && !program.includes('exit(0)') ? ['EMBEDDED_SCAN'] : [])
})
