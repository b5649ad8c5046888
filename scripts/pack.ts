import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** What `npm install` may take; a registry that does not answer is told after it. */
const INSTALL_LIMIT_MS = 180_000

/** @returns the path of the tarball, as it would be published; dist/ has to be built */
export async function packInto(dir: string): Promise<string> {
  mkdirSync(dir, { recursive: true })
  // without scripts: others may run from dist/ at this moment, so it is not built again
  await npm(process.cwd(), ['pack', '--ignore-scripts', '--pack-destination', resolve(dir)])
  const tarball = readdirSync(dir).find((name) => name.endsWith('.tgz'))
  if (tarball === undefined) throw new Error(`npm pack left no tarball in ${dir}`)
  return resolve(dir, tarball)
}

/**
 * Installs into a folder that has a package.json of its own, and nothing else of ours.
 *
 * @param dependencies as in a package.json
 * @throws Error with the last lines of npm where it cannot be had
 */
export async function installInto(dir: string, dependencies: Readonly<Record<string, string>>): Promise<void> {
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'package.json'), `${JSON.stringify({ private: true, dependencies }, null, 2)}\n`)
  await npm(dir, ['install', '--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'])
}

function npm(cwd: string, args: readonly string[]): Promise<void> {
  return new Promise((done, fail) => {
    // What a surrounding `npm run` says of itself would make this npm take the wrong folder for its own.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_(?!config_)/.test(name)))
    const options = { cwd, env, timeout: INSTALL_LIMIT_MS, maxBuffer: 16 * 1024 * 1024 }
    execFile('npm', args, options, (error, _stdout, stderr) => {
      if (error === null) return done()
      const last = stderr.trim().split('\n').slice(-8).join('\n')
      fail(new Error(`npm ${args[0]} failed in ${cwd}:\n${last === '' ? error.message : last}`))
    })
  })
}
