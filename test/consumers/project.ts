import { execFile } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { installInto, packInto } from '../../scripts/pack.ts'

/** Somebody else's project: the packed tarball, Node's types and nothing else that could be resolved but what it asks for. */
export interface Project {
  readonly dir: string
  /** Where the package lies in it. */
  readonly packageDir: string
}

/** Outside of the repository, whose node_modules would be found otherwise. */
export async function createProject(more: Readonly<Record<string, string>> = {}): Promise<Project> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'replyto-consumer-')))
  try {
    const tarball = await packInto(join(dir, 'tarball'))
    await installInto(dir, { replyto: `file:${tarball}`, '@types/node': '^20.19.0', ...more })
    const packageDir = join(dir, 'node_modules', 'replyto')
    cpSync(packageDir, join(dir, 'node_modules', 'replyto-b'), { recursive: true })
    return { dir, packageDir }
  } catch (error) {
    removeProject({ dir })
    throw error
  }
}

export function removeProject({ dir }: Pick<Project, 'dir'>): void {
  rmSync(dir, { recursive: true, force: true })
}

export const PROGRAM = 'program.ts'

export interface Setup {
  readonly type: 'module' | 'commonjs'
  readonly module: string
  readonly moduleResolution: string
  /** On top of `strict`. */
  readonly more?: Readonly<Record<string, boolean>>
}

/** A folder with the program and a tsconfig.json as its author would have written it. Compiles into `out`. */
export function addFolder({ dir }: Project, name: string, { type, module, moduleResolution, more }: Setup): string {
  const folder = join(dir, name)
  mkdirSync(folder)
  copyFileSync(resolve('test/consumers/programs', PROGRAM), join(folder, PROGRAM))
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022'], // no DOM
    types: ['node'],
    strict: true,
    skipLibCheck: false,
    rootDir: '.',
    outDir: 'out',
    module,
    moduleResolution,
    ...more,
  }
  writeJson(join(folder, 'package.json'), { type })
  writeJson(join(folder, 'tsconfig.json'), { compilerOptions, files: [PROGRAM] })
  return folder
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, JSON.stringify(value, null, 2))
}

export interface Ended {
  readonly code: number | string | null | undefined
  readonly stdout: string
  readonly stderr: string
}

export function run(
  file: string,
  args: readonly string[],
  { cwd, env: more }: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv | undefined },
): Promise<Ended> {
  return new Promise((done) => {
    // Nothing of ours: a test runner's settings for Node would be the program's too.
    const { NODE_OPTIONS: _, NODE_PATH: __, REPLYTO_URL: ___, ...env } = process.env
    execFile(
      file,
      args,
      { cwd, env: { ...env, ...more }, timeout: 60_000, maxBuffer: 16 * 1024 * 1024 },
      (error, stdout, stderr) => {
        done({ code: error === null ? 0 : (error.code ?? error.signal), stdout, stderr })
      },
    )
  })
}
