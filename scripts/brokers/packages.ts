import { execFileSync, spawnSync } from 'node:child_process'

/** Far beyond what a slow mirror needs. */
const LIMIT_MS = 600_000

export interface InstallOptions {
  readonly mayInstall: boolean
  /** What is missing, for the error. */
  readonly what: string
  /** What else can be done, as the end of a sentence. */
  readonly otherwise: string
}

/** Debian's packages. Throws with a sentence that says what to do where they may not or cannot be installed. */
export function installPackages(packages: readonly string[], { mayInstall, what, otherwise }: InstallOptions): void {
  const args = ['install', '--yes', '--no-install-recommends', ...packages]
  const command = `apt-get ${args.join(' ')}`
  if (!mayInstall || process.getuid?.() !== 0)
    throw new Error(`${what} is not installed: run '${command}' as root, ${otherwise}`)
  console.log(`> ${command}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  spawnSync('apt-get', ['update', '--quiet'], { env, stdio: ['ignore', 'inherit', 'inherit'], timeout: LIMIT_MS })
  execFileSync('apt-get', args, { env, stdio: ['ignore', 'inherit', 'inherit'], timeout: LIMIT_MS })
}
