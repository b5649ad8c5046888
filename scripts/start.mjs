// Compiles the package and runs one of its scripts: `node scripts/start.mjs <name> [arguments]`.
// Plain JavaScript, as Node 20 cannot run TypeScript; needs nothing but `npm ci`.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const [name = '', ...args] = process.argv.slice(2)
const script = new URL(`../dist/scripts/${name}.js`, import.meta.url)

// Types are checked by the script's own steps; here only the output counts.
const compiler = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url))
const { stdout, status } = spawnSync(process.execPath, [compiler, '-p', '.', '--noCheck'], {
  cwd: root,
  encoding: 'utf8',
})
process.chdir(root)
if (existsSync(script)) {
  process.argv.splice(1, process.argv.length, fileURLToPath(script), ...args)
  await import(script.href)
} else {
  console.error(stdout ?? '', status === null ? 'the compiler did not start: run npm ci' : `no script ${name}`)
  if (name === 'test') console.log('0 passed, 1 failed, 0 skipped')
  process.exitCode = 1
}
