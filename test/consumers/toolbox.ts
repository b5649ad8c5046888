import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { installInto } from '../../scripts/pack.ts'

// Compilers and Nodes of other people, in folders of their own below .consumers/, which is ignored and stays between runs.

const DIR = resolve('.consumers')

/** Below the newest ones: the oldest compiler that is supported, and the last that was written in TypeScript. */
const COMPILERS = { 'typescript-5.4': 'npm:typescript@~5.4.5', 'typescript-5.9': 'npm:typescript@~5.9.3' }
/** The oldest Node that package.json allows, and the lines after it. */
const NODES = { '20': '20.19.0', '22': '22', '24': '24' } as const

export type CompilerName = '5.4' | '5.9' | '7'
export type NodeName = keyof typeof NODES
export const NODE_NAMES: readonly NodeName[] = ['20', '22', '24']

export interface Toolbox {
  /** Arguments of node that run the compiler. */
  readonly compiler: (name: CompilerName) => string
  /** The path of an executable. */
  readonly node: (name: NodeName) => string
}

/** Installs what is not there yet, all at once. @throws Error that names what cannot be had, and why */
export async function openToolbox(): Promise<Toolbox> {
  await Promise.all([
    installOnce('compilers', COMPILERS),
    ...NODE_NAMES.map((name) => installOnce(`node-${name}`, { node: NODES[name] })),
  ])
  for (const name of NODE_NAMES) checkNode(name)
  return { compiler, node }
}

function compiler(name: CompilerName): string {
  // the newest is our own
  const folder =
    name === '7' ? resolve('node_modules', 'typescript') : join(DIR, 'compilers', `node_modules/typescript-${name}`)
  return join(folder, 'bin', 'tsc')
}

function node(name: NodeName): string {
  return join(DIR, `node-${name}`, 'node_modules', '.bin', 'node')
}

/** The folder's mark is written last: an installation that was interrupted is made again. */
async function installOnce(folder: string, dependencies: Readonly<Record<string, string>>): Promise<void> {
  const dir = join(DIR, folder)
  const mark = join(dir, 'installed.json')
  const wanted = JSON.stringify(dependencies)
  if (existsSync(mark) && readFileSync(mark, 'utf8') === wanted) return
  rmSync(dir, { recursive: true, force: true })
  await installInto(dir, dependencies)
  writeFileSync(mark, wanted)
}

/** The npm package `node` fetches its executable in a script, which an npm may have been told not to run. */
function checkNode(name: NodeName): void {
  const version = execFileSync(node(name), ['--version'], { encoding: 'utf8' }).trim()
  if (!version.startsWith(`v${NODES[name]}.`) && version !== `v${NODES[name]}`)
    throw new Error(`the Node that was installed for ${name} says it is ${version}`)
}
