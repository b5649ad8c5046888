import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { findViolations, readImports, withoutComments, type ImportRule, type Source } from './import-rules.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const MAX_LINES = 400

const SCHEMA_SPEC = { pattern: /^@standard-schema\/spec$/, only: 'type' } as const
const NODE = /^node:/
/** A file of ours ends in `.ts`. */
const PACKAGE = /^(?!\.)(?!.*\.m?ts$)/
const PROTOCOL = /^protocol\/[^/]+$/
const CONTRACT = /^contract\/[^/]+$/
/** Files directly in the folder: the seam, the connection and what they are made of. */
const SEAM = /^broker-adapters\/[^/]+$/

/** What an adapter may know of the folder above it: the seam, and what adapters have in common. */
const ADAPTER_PARTS = [
  /^broker-adapters\/adapter\.ts$/,
  /^broker-adapters\/(?:call-listener|gather-writes|held|integer-option|within|letter-filter|link|linked|mailbox-address|mailbox-reader|standing)\.ts$/,
]

/** Who may import whom. The first rule that fits a file is the only one. */
const RULES: readonly ImportRule[] = [
  {
    files: /^protocol\/codec-cbor\.ts$/,
    reason: 'protocol stands alone; this file is the only one that knows the CBOR library',
    mayImport: [PROTOCOL, NODE, /^cbor-x$/],
  },
  {
    files: /^protocol\//,
    reason: 'protocol is what is on the wire: it knows nothing else of ours and no library',
    mayImport: [PROTOCOL, NODE],
  },
  {
    files: /^contract\//,
    reason: 'a contract is shared by both teams: it pulls in no broker, no native code, nothing of Node',
    mayImport: [CONTRACT, PROTOCOL, SCHEMA_SPEC],
  },
  {
    files: /^broker-adapters\/adapter\.ts$/,
    reason: 'the seam is types over the types of the wire',
    mayImport: [{ pattern: PROTOCOL, only: 'type' }],
  },
  {
    files: /^broker-adapters\/broker\.ts$/,
    reason: 'a broker is said in terms of the seam',
    mayImport: [/^broker-adapters\/adapter\.ts$/, PROTOCOL],
  },
  {
    files: /^broker-adapters\/[^/]+$/,
    reason: 'adapters and their libraries are loaded on first use, by import()',
    mayImport: [SEAM, PROTOCOL, NODE, { pattern: /^broker-adapters\/[^/]+\/[^/]+$/, only: 'dynamic' }],
  },
  {
    files: /^broker-adapters\/embedded\//,
    reason: 'an adapter knows the seam, the wire and its own libraries; lmdb is native and loaded on first use',
    mayImport: [
      /^broker-adapters\/embedded\//,
      ...ADAPTER_PARTS,
      PROTOCOL,
      NODE,
      /^cbor-x$/,
      { pattern: /^lmdb$/, only: 'dynamic' },
    ],
  },
  {
    files: /^broker-adapters\/memory\//,
    reason: 'an adapter knows the seam, the wire and nothing of another adapter',
    mayImport: [/^broker-adapters\/memory\//, ...ADAPTER_PARTS, PROTOCOL, NODE],
  },
  {
    files: /^broker-adapters\/kafka\/library\.ts$/,
    reason: 'all that leans on kafkajs, which is an optional peer, stands in one file, and is required on first use',
    mayImport: [/^broker-adapters\/kafka\//, PROTOCOL, NODE, /^kafkajs(?:\/|$)/],
  },
  {
    files: /^broker-adapters\/kafka\//,
    reason: 'an adapter knows the seam, the wire and nothing of another adapter',
    mayImport: [/^broker-adapters\/kafka\//, ...ADAPTER_PARTS, PROTOCOL, NODE],
  },
  {
    files: /^broker-adapters\/redis\//,
    reason: 'an adapter knows the seam, the wire and its own libraries, which are optional peers: loaded on first use',
    mayImport: [
      /^broker-adapters\/redis\//,
      ...ADAPTER_PARTS,
      PROTOCOL,
      NODE,
      { pattern: /^(?:bullmq|ioredis)$/, only: 'type' },
      { pattern: /^(?:bullmq|ioredis)$/, only: 'dynamic' },
    ],
  },
  {
    files: /^broker-adapters\/rabbitmq\//,
    reason: 'an adapter knows the seam, the wire and its own library, which is an optional peer: loaded on first use',
    mayImport: [
      /^broker-adapters\/rabbitmq\//,
      ...ADAPTER_PARTS,
      PROTOCOL,
      NODE,
      { pattern: /^amqplib$/, only: 'type' },
      { pattern: /^amqplib$/, only: 'dynamic' },
    ],
  },
  {
    files: /^client\//,
    reason: 'a client knows the contract, the wire and the seam: no worker, no adapter of its own',
    mayImport: [/^client\//, CONTRACT, PROTOCOL, SEAM, NODE, SCHEMA_SPEC],
  },
  {
    files: /^worker\//,
    reason: 'a worker knows the contract, the wire and the seam: no client, no adapter of its own',
    mayImport: [/^worker\//, CONTRACT, PROTOCOL, SEAM, NODE, SCHEMA_SPEC],
  },
  {
    files: /^index\.ts$/,
    reason: 'the root only re-exports what is for users',
    mayImport: [CONTRACT, PROTOCOL, SEAM, /^client\//, /^worker\//],
  },
  ...['testing', 'examples', 'bench', 'scripts'].map((folder) => ({
    files: new RegExp(`^${folder}/`),
    reason: `${folder} use the package as others do: by its public name`,
    mayImport: [new RegExp(`^${folder}/`), NODE, PACKAGE],
  })),
]

const PUBLISHED = /^(?:contract|protocol|broker-adapters|client|worker|testing)\/|^index\.ts$/
const CORE = /^(?:contract|protocol|client|worker)\//
const BROKER_WORD = /\b(?:rabbitmq|amqp\w*|redis|ioredis|bullmq|kafka\w*|embedded)\b|\bmemory:/i

function readSources(): Source[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '*.ts'], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  return [...new Set(listed.split('\0'))]
    .filter((path) => path !== '' && !path.startsWith('test/fixtures/'))
    .flatMap((path) => readIfThere(path))
}

/** A file that is listed may have been deleted and not yet committed. */
function readIfThere(path: string): Source[] {
  try {
    return [{ path, text: readFileSync(ROOT + path, 'utf8') }]
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

const sources = readSources()
const published = sources.filter(({ path }) => PUBLISHED.test(path))
const namesOf = (found: readonly Source[]): string[] => found.map(({ path }) => path)

function brokerWords({ path, text }: Source): string[] {
  return text
    .split('\n')
    .flatMap((line, index) => (BROKER_WORD.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : []))
}

function usesAny({ text }: Source): boolean {
  const code = withoutComments(text).replaceAll(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, "''")
  return /(?::|\bas|<|\||,)\s*any\b(?!\s*[:(?])/.test(code)
}

describe('the sources', () => {
  test('are found', () => {
    expect(namesOf(published)).toEqual(expect.arrayContaining(['protocol/errors.ts', 'contract/index.ts']))
  })

  test('import only what their folder may', () => {
    const ruled = sources.filter(({ path }) => !path.startsWith('test/') && path !== 'vitest.config.ts')
    expect(findViolations(ruled, RULES)).toEqual([])
  })

  test(`have at most ${MAX_LINES} lines`, () => {
    expect(namesOf(sources.filter(({ text }) => text.trimEnd().split('\n').length > MAX_LINES))).toEqual([])
  })

  test('are without any', () => {
    expect(namesOf(published.filter(usesAny))).toEqual([])
  })

  test('are in folders that name a responsibility', () => {
    const vague = published.filter(({ path }) => /(?:^|\/)(?:utils?|commons?|helpers?|types)\//.test(path))
    expect(namesOf(vague)).toEqual([])
  })

  test('of the conformance suite need nothing but Vitest: others run it against their adapters', () => {
    const suite = sources.filter(({ path }) => path.startsWith('test/conformance/'))
    const packages = suite
      .flatMap(({ text }) => readImports(text))
      .filter(({ specifier, isTypeOnly }) => !isTypeOnly && !/^\.|^node:/.test(specifier))
    expect([...new Set(packages.map(({ specifier }) => specifier))]).toEqual(['vitest'])
  })

  test('of client and worker ask the clock of their broker, which a test may move', () => {
    const ownTime = /\b(?:Date\.now|performance\.now|monotonicMs)\b/
    const timed = published.filter(({ path }) => /^(?:client|worker)\//.test(path))
    expect(namesOf(timed.filter(({ text }) => ownTime.test(withoutComments(text))))).toEqual([])
  })

  test('of the core name no broker, in comments neither', () => {
    expect(sources.filter(({ path }) => CORE.test(path)).flatMap(brokerWords)).toEqual([])
  })

  test('re-export only, where they are called index.ts', () => {
    const own = published.filter(({ path, text }) => {
      const rest = withoutComments(text).replaceAll(/export\s+(?:type\s+)?(?:\*|\{[^}]*\})\s+from\s+'[^']+'/g, '')
      return /^(?:[^/]+\/)?index\.ts$/.test(path) && rest.trim() !== ''
    })
    expect(namesOf(own)).toEqual([])
  })
})

describe('the checker itself', () => {
  const violationsOf = (path: string, text: string): string[] => findViolations([{ path, text }], RULES)

  test.each([
    ['protocol/a.ts', "import { b } from '../contract/b.ts'"],
    ['protocol/a.ts', "import type { b } from '../contract/b.ts'"],
    ['protocol/a.ts', "import { Encoder } from 'cbor-x'"],
    ['protocol/a.ts', "export * from '../client/index.ts'"],
    ['protocol/a.ts', "const b = await import('../client/index.ts')"],
    ['protocol/a.ts', "const b = require('../client/index.ts')"],
    ['protocol/a.ts', "type B = import('../client/types.ts').Client"],
    ['contract/a.ts', "import { open } from 'node:fs'"],
    ['contract/a.ts', "import { z } from 'zod'"],
    ['contract/a.ts', "import {\n  b,\n  c,\n} from '../client/b.ts'"],
    ['contract/a.ts', "import '../client/b.ts'"],
    ['broker-adapters/adapter.ts', "import { isFinalReply } from '../protocol/message.ts'"],
    ['broker-adapters/broker.ts', "import { createLog } from './log.ts'"],
    ['broker-adapters/connect.ts', "import { embedded } from './embedded/index.ts'"],
    ['broker-adapters/connect.ts', "import { createClient } from '../client/index.ts'"],
    ['broker-adapters/embedded/a.ts', "import { open } from 'lmdb'"],
    ['broker-adapters/embedded/a.ts', "import { b } from '../memory/b.ts'"],
    ['broker-adapters/embedded/a.ts', "import { connect } from '../connect.ts'"],
    ['broker-adapters/embedded/deep/a.ts', "import { b } from '../../memory/b.ts'"],
    ['broker-adapters/memory/a.ts', "import { Encoder } from 'cbor-x'"],
    ['broker-adapters/unknown/a.ts', "import type { BrokerAdapter } from '../adapter.ts'"],
    ['client/a.ts', "import { b } from '../worker/b.ts'"],
    ['client/a.ts', "import { b } from '../broker-adapters/memory/b.ts'"],
    ['client/a.ts', "const b = await import('../broker-adapters/memory/b.ts')"],
    ['worker/a.ts', "import type { b } from '../client/types.ts'"],
    ['index.ts', "export { embedded } from './broker-adapters/embedded/index.ts'"],
    ['examples/a.ts', "import { b } from '../client/index.ts'"],
    ['bench/a.ts', "import { b } from '../index.ts'"],
    ['scripts/a.ts', "import { b } from '../protocol/errors.ts'"],
    ['elsewhere/a.ts', ''],
  ])('refuses in %s: %s', (path, text) => {
    expect(violationsOf(path, text)).toHaveLength(1)
  })

  test.each([
    ['protocol/a.ts', "// import { b } from '../client/b.ts'\n/* import '../client/b.ts' */"],
    [
      'protocol/a.ts',
      'const text = "see import(\'../client/b.ts\') there" // a string may say anything'.replace('import', 'load'),
    ],
    ['protocol/codec-cbor.ts', "import { Encoder } from 'cbor-x'"],
    ['contract/a.ts', "import type { StandardSchemaV1 } from '@standard-schema/spec'"],
    ['broker-adapters/adapter.ts', "import type { Message } from '../protocol/message.ts'"],
    ['broker-adapters/target.ts', "load: async () => (await import('./memory/index.ts')).memory()"],
    ['broker-adapters/embedded/a.ts', "const { open } = await import('lmdb')"],
    ['broker-adapters/embedded/a.ts', "import type { RootDatabase } from 'lmdb'"],
    ['client/a.ts', "import type { Broker } from '../broker-adapters/broker.ts'"],
    ['index.ts', "export * from './client/index.ts'"],
    ['examples/a.ts', "import { createClient } from 'replyto'\nimport { images } from './contract.ts'"],
    ['bench/a.ts', "import amqplib from 'amqplib'"],
  ])('allows in %s: %s', (path, text) => {
    expect(violationsOf(path, text)).toEqual([])
  })

  test('gives the reason', () => {
    expect(violationsOf('client/a.ts', "import { b } from '../worker/b.ts'")).toEqual([
      "client/a.ts: import '../worker/b.ts' is forbidden: a client knows the contract, the wire and the seam: no worker, no adapter of its own",
    ])
  })

  test('reads every form of import', () => {
    const text = [
      "import a from 'a'",
      "import type { B } from 'b'",
      "import 'c'",
      "import {\n  d,\n} from 'd'",
      "export * from 'e'",
      "export type * from 'f'",
      "const g = import('g')",
    ].join('\n')
    expect(readImports(text).map(({ specifier }) => specifier)).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g'])
  })

  test.each([
    'const a: any = 1',
    'const a = b as any',
    'f<any>()',
    'Map<string, any>',
    'let a: string | any',
    'b: any[]',
  ])('finds any in %s', (text) => {
    expect(usesAny({ path: 'a.ts', text })).toBe(true)
  })
  test.each([
    '// takes: any value',
    "const a = 'as any'",
    'const company: string',
    '/** <any> */',
    'f(many, anyOf)',
    '{ b, any: 1 }',
  ])('finds none in %s', (text) => {
    expect(usesAny({ path: 'a.ts', text })).toBe(false)
  })

  test.each(["if (name === 'embedded') {", '// as in RabbitMQ', "url.startsWith('memory:')", 'amqplib'])(
    'finds a broker in %s',
    (text) => {
      expect(brokerWords({ path: 'a.ts', text })).toHaveLength(1)
    },
  )
})
