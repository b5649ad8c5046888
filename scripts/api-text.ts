import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'

/*
 * docs/api.md from the package's declarations: every name of every entry of package.json, with its docstring, as the
 * compiler wrote it. It relies on the compiler's format: a top-level statement begins in the first column and its lines but
 * the last do not.
 */

interface Statement {
  /** The name it declares. */
  readonly name: string
  /** Docstring and declaration, without `export declare`. */
  readonly text: string
}

const INTRODUCTION = `# API

Every public name with its docstring, made from the declarations by \`npm run api\`; a test compares. How they are used is in
the [README](../README.md), what they promise in [semantics](semantics.md).`

/** @param dist the folder of the compiled package, with `/` */
export function apiText(packageJson: string, dist: string): string {
  const { exports } = JSON.parse(readFileSync(packageJson, 'utf8')) as {
    readonly exports: Readonly<Record<string, string | { readonly types?: string }>>
  }
  const seen = new Map<string, string>()
  const sections = Object.entries(exports).flatMap(([path, target]) => {
    if (typeof target === 'string' || target.types === undefined) return []
    const entry = path === '.' ? 'replyto' : `replyto/${path.slice(2)}`
    const names = exportsOf(join(dist, target.types.replace('./dist/', '')))
    return [`## \`${entry}\`\n\n${sectionOf(entry, names, seen)}`]
  })
  return `${[INTRODUCTION, ...sections].join('\n\n')}\n`
}

/** What another entry has shown already is only named. */
function sectionOf(entry: string, statements: readonly Statement[], seen: Map<string, string>): string {
  const fresh = statements.filter(({ text }) => !seen.has(text))
  const known = statements.filter(({ text }) => seen.has(text))
  for (const { text } of fresh) seen.set(text, entry)
  const also = [...new Set(known.map(({ text }) => seen.get(text)))].map((other) => {
    const names = known.filter(({ text }) => seen.get(text) === other).map(({ name }) => `\`${name}\``)
    return `Also here, as in \`${other}\`: ${names.join(', ')}.`
  })
  const blocks = fresh.map(({ name, text }) => `### ${name}\n\n\`\`\`ts\n${text}\n\`\`\``)
  return [...blocks, ...also].join('\n\n')
}

/** Everything that the module exports, its re-exports included, in the order of the file. */
function exportsOf(file: string): Statement[] {
  return readFileSync(file, 'utf8')
    .split(/\n(?=export )/)
    .flatMap((part) => {
      const from = /^export (?:type )?(\*|\{[^}]*\}) from ['"](.+)['"]/.exec(part.trimStart())
      if (from === null) return []
      const [, names = '', path = ''] = from
      return reExported(names, join(dirname(file), path.replace(/\.[jt]s$/, '.d.ts')))
    })
    .concat(exportedBy(file))
}

/** What the file exports; what it uses of the same file and does not export stands before its first user. */
function exportedBy(file: string): Statement[] {
  const all = declarationsOf(file)
  const hidden = new Map(all.filter(({ isExported }) => !isExported).map((statement) => [statement.name, statement]))
  const used = (text: string): string[] =>
    [...hidden.values()].flatMap((statement) => {
      if (!new RegExp(`\\b${statement.name}\\b`).test(text) || !hidden.delete(statement.name)) return []
      return [...used(statement.text), statement.text]
    })
  return all
    .filter(({ isExported }) => isExported)
    .map(({ name, text }) => ({ name, text: [...used(text), text].join('\n\n') }))
}

function reExported(names: string, file: string): Statement[] {
  const all = [...exportsOf(file)]
  if (names === '*') return all
  const wanted = names
    .slice(1, -1)
    .split(',')
    .map((name) => name.replace(/^\s*type\s+/, '').trim())
    .filter((name) => name !== '')
  return wanted.flatMap((name) => {
    const found = all.filter((statement) => statement.name === name)
    if (found.length === 0) throw new Error(`${file} does not declare ${name}, which is exported from there`)
    return found
  })
}

function declarationsOf(file: string): (Statement & { readonly isExported: boolean })[] {
  const chunks = readFileSync(file, 'utf8').split(/\n(?=\/\*\*|export |declare |type |interface |import )/)
  return chunks.flatMap((chunk, index) => {
    const declared = /^(export )?(?:declare )?((?:abstract )?(?:interface|type|function|class|const) (\w+)[^]*)$/.exec(
      chunk,
    )
    if (declared === null) return []
    const [, exported, declaration = '', name = ''] = declared
    const before = chunks[index - 1] ?? ''
    const docstring = before.startsWith('/**') && before.trimEnd().endsWith('*/') ? `${before.trimEnd()}\n` : ''
    return [{ name, text: `${docstring}${declaration.trimEnd()}`, isExported: exported !== undefined }]
  })
}
