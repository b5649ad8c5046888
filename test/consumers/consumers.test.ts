import { copyFileSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { addFolder, createProject, removeProject, run, type Project, type Setup } from './project.ts'
import { NODE_NAMES, openToolbox, type CompilerName, type Toolbox } from './toolbox.ts'

// The package as others have it: the packed tarball in an empty project, compiled by their compilers, run by their Nodes.

const ESM_NODENEXT = { type: 'module', module: 'nodenext', moduleResolution: 'nodenext' } as const
const ESM_BUNDLER = { type: 'module', module: 'esnext', moduleResolution: 'bundler' } as const
const CJS_NODE10 = { type: 'commonjs', module: 'commonjs', moduleResolution: 'node10' } as const
const CJS_NODENEXT = { type: 'commonjs', module: 'nodenext', moduleResolution: 'nodenext' } as const
const CJS_BUNDLER = { type: 'commonjs', module: 'commonjs', moduleResolution: 'bundler' } as const
const STRICTEST = { exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, isolatedModules: true }
const INTEROP = { esModuleInterop: true }

/** TypeScript 5.4 knows no `require` of an ES module under nodenext; TypeScript 7 has no node10. */
const MATRIX: readonly (readonly [compiler: CompilerName, name: string, setup: Setup])[] = [
  ['5.4', 'nodenext ESM', ESM_NODENEXT],
  ['5.4', 'bundler ESM', { ...ESM_BUNDLER, more: STRICTEST }],
  ['5.4', 'commonjs node10', CJS_NODE10],
  ['5.9', 'nodenext ESM', { ...ESM_NODENEXT, more: STRICTEST }],
  ['5.9', 'bundler ESM', ESM_BUNDLER],
  ['5.9', 'commonjs node10', { ...CJS_NODE10, more: INTEROP }],
  ['5.9', 'nodenext CommonJS', CJS_NODENEXT],
  ['7', 'nodenext ESM', ESM_NODENEXT],
  ['7', 'nodenext CommonJS', { ...CJS_NODENEXT, more: STRICTEST }],
  ['7', 'bundler ESM', ESM_BUNDLER],
  ['7', 'commonjs bundler', CJS_BUNDLER],
]

const PROGRAMS = resolve('test/consumers/programs')
/** Of the suite, for the author: all that the adapter alone is asked, and the first row that is built on it. */
const ROWS_OF_AUTHOR = 'seam|durable|settlement'
const AS_ESM = '5.4 nodenext ESM'
const AS_COMMONJS = '5.4 commonjs node10'

const EXPECTED = {
  area: 12,
  reports: [50],
  declared: 100,
  outcomes: ['at most 100', '2'],
  mapped: [2, 3, 4],
  refused: 'CallError INVALID_INPUT no',
  flaky: 2,
  hopeless: 'RemoteError HANDLER_FAILED yes',
  hasId: true,
  notes: ['noted 1'],
  noWorker: 'NO_WORKER',
  stored: true,
  tested: ['later', 6, 'TOO_WIDE'],
  middleware: ['resize', 'count', 'note', 'ping', 'flaky', 'hopeless'],
  logged: ['HANDLER_FAILED', 'HANDLER_FAILED'],
  badUrl: 'CONFIG',
  methods: ['resize', 'count', 'note', 'flaky', 'hopeless', 'ping'],
  derived: ['greet'],
  isFinal: false,
}

interface Prepared {
  readonly toolbox: Toolbox
  /** Of a user. */
  readonly project: Project
  /** Of the author of an adapter: Vitest is there too. */
  readonly author: Project
}

/** Without a registry there is nothing to test with: in CI that is a failure, elsewhere it is said. */
async function prepare(): Promise<Prepared | { readonly reason: string }> {
  const made = [createProject(), createProject({ vitest: '^4.1.0' })] as const
  try {
    const [toolbox, project, author] = await Promise.all([openToolbox(), ...made])
    return { toolbox, project, author }
  } catch (error) {
    for (const one of await Promise.allSettled(made)) if (one.status === 'fulfilled') removeProject(one.value)
    if (process.env['CI'] === 'true' || !(error instanceof Error)) throw error
    return { reason: error.message }
  }
}

register(await prepare())

function register(prepared: Awaited<ReturnType<typeof prepare>>): void {
  if (!('reason' in prepared)) return describeConsumers(prepared)
  console.log(`the consumers' matrix was not run: ${prepared.reason}`)
  // oxlint-disable-next-line vitest/no-disabled-tests -- without a registry there is nothing to run it with
  test.skip("the consumers' matrix: compilers or dependencies could not be installed", () => {})
}

function describeConsumers({ project, author, toolbox }: Prepared): void {
  afterAll(() => [project, author].forEach(removeProject))

  test('declarations name no .ts files and nothing else that is not in the tarball', () => {
    const files = readdirSync(join(project.packageDir, 'dist'), { recursive: true, encoding: 'utf8' })
    expect(files.filter((file) => /\.map$|\.test\./.test(file))).toEqual([])
    const texts = files.filter((file) => file.endsWith('.d.ts'))
    expect(texts.length).toBeGreaterThan(50)
    const unbuilt = texts.filter((file) => /(?:from|import\()\s*['"]\.[^'"]*(?<!\.js)['"]/.test(readDist(file)))
    expect(unbuilt, 'npm run build writes them').toEqual([])
  })

  test('the published code has no top-level await, so that it can be required', async () => {
    const entries = [
      'replyto',
      'replyto/contract',
      'replyto/embedded',
      'replyto/memory',
      'replyto/adapter',
      'replyto/testing',
    ]
    const script = `for (const entry of ${JSON.stringify(entries)}) console.log(Object.keys(require(entry)).length > 0)`
    const ended = await run(toolbox.node('20'), ['-e', script], { cwd: project.dir })
    expect(ended).toEqual({ code: 0, stdout: 'true\n'.repeat(entries.length), stderr: '' })
  })

  describe.concurrent('compiles with TypeScript', { timeout: 120_000 }, () => {
    test.for(MATRIX)('%s %s', async ([compiler, name, setup], { expect }) => {
      const cwd = addFolder(project, `${compiler} ${name}`, setup)
      const ended = await run(process.execPath, [toolbox.compiler(compiler), '-p', '.', '--pretty', 'false'], { cwd })
      expect(ended).toEqual({ code: 0, stdout: '', stderr: '' })
    })
  })

  describe('runs', { timeout: 60_000 }, () => {
    for (const node of NODE_NAMES) {
      for (const [how, folder] of [
        ['import', AS_ESM],
        ['require', AS_COMMONJS],
      ] as const) {
        test.each(['memory', 'file'])(`on Node ${node} by ${how} with %s:`, async (scheme) => {
          const url = scheme === 'file' ? `file:${join(project.dir, `${node}-${how}`)}` : 'memory:program'
          const { stdout, ...ended } = await run(toolbox.node(node), ['out/program.js', url], {
            cwd: join(project.dir, folder),
          })
          expect(ended, `it printed ${stdout}`).toEqual({ code: 0, stderr: '' })
          expect(JSON.parse(stdout)).toEqual(EXPECTED)
        })
      }
    }
  })

  test("replyto/contract pulls in the contract's and the wire's modules alone: no broker, nothing native", async () => {
    const modules = join(project.dir, 'modules.txt')
    for (const file of ['list-modules.mjs', 'load-contract.mjs'])
      copyFileSync(join(PROGRAMS, file), join(project.dir, file))
    const ended = await run(process.execPath, ['--import', './list-modules.mjs', 'load-contract.mjs'], {
      cwd: project.dir,
      env: { MODULES: modules },
    })
    expect(ended).toEqual({ code: 0, stdout: '{"name":"alone","native":[]}\n', stderr: '' })
    const loaded = readFileSync(modules, 'utf8').trim().split('\n')
    const ours = `${pathToFileURL(join(project.packageDir, 'dist')).href}/`
    expect(loaded).toEqual(expect.arrayContaining([`${ours}contract/index.js`]))
    const others = loaded.filter((url) => !url.startsWith(`${ours}contract/`) && !url.startsWith(`${ours}protocol/`))
    expect(others).toEqual([pathToFileURL(join(project.dir, 'load-contract.mjs')).href])
    expect(loaded.filter((url) => /codec/.test(url))).toEqual([])
  })

  test('two copies of the package agree on contracts, brokers and errors', { timeout: 60_000 }, async () => {
    copyFileSync(join(PROGRAMS, 'two-copies.mjs'), join(project.dir, 'two-copies.mjs'))
    const { stdout, ...ended } = await run(process.execPath, ['two-copies.mjs', join(project.dir, 'copies')], {
      cwd: project.dir,
    })
    expect(ended, `it printed ${stdout}`).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toEqual({
      isTwo: true,
      missing: ['MISSING', 'nothing there', 'ReplytoError', 'RemoteError', 'DeclaredError'],
      isDeclared: true,
      once: ['HANDLER_FAILED', 1],
      twice: 2,
      config: ['ReplytoError', 'ConfigError'],
      closed: ['ReplytoError', 'CallError'],
    })
  })

  test('the conformance suite runs against an adapter of somebody else', { timeout: 120_000 }, async () => {
    copyFileSync(join(PROGRAMS, 'my-broker.mjs'), join(author.dir, 'my-broker.test.mjs'))
    const vitest = join(author.dir, 'node_modules/vitest/vitest.mjs')
    const args = ['run', '--root', author.dir, '--reporter=json', '-t', ROWS_OF_AUTHOR]
    const { stdout, ...ended } = await run(process.execPath, [vitest, ...args], { cwd: author.dir })
    const { numPassedTests, numFailedTests } = JSON.parse(stdout.slice(stdout.indexOf('{')))
    expect(ended, `it printed ${stdout}`).toMatchObject({ code: 0 })
    expect(numFailedTests).toBe(0)
    expect(numPassedTests).toBeGreaterThan(40)
  })

  function readDist(file: string): string {
    return readFileSync(join(project.packageDir, 'dist', file), 'utf8')
  }
}
