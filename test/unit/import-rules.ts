import { posix } from 'node:path'

/** One source file and what it says. Paths are relative to the repository, with `/`. */
export interface Source {
  readonly path: string
  readonly text: string
}

export interface Import {
  readonly specifier: string
  readonly isDynamic: boolean
  /** `import type` and `export type`: gone at run time. */
  readonly isTypeOnly: boolean
}

/** Which files the rule is for, and what they may import: the first rule that fits a file is the only one. */
export interface ImportRule {
  readonly files: RegExp
  readonly reason: string
  readonly mayImport: readonly (Allowed | RegExp)[]
}

/** `pattern`: of a path in the repository, or of a package's name. */
export interface Allowed {
  readonly pattern: RegExp
  readonly only: 'dynamic' | 'type'
}

/** All imports and re-exports, `import()` and `import type` included; comments do not count. */
export function readImports(text: string): Import[] {
  const code = withoutComments(text)
  const statements = code.matchAll(
    /^\s*(?:import|export)\s+(type\s+)?(?:[^'"`;]*?\sfrom\s+|(?=['"]))['"]([^'"]+)['"]/gm,
  )
  const calls = code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g)
  const requires = code.matchAll(/\brequire\(\s*['"]([^'"]+)['"]/g)
  const make = (specifier: string | undefined, isDynamic: boolean, isTypeOnly: boolean): Import => ({
    specifier: specifier ?? '',
    isDynamic,
    isTypeOnly,
  })
  return [
    ...Array.from(statements, (match) => make(match[2], false, match[1] !== undefined)),
    ...Array.from(calls, (match) => make(match[1], true, /\btypeof\s*$/.test(code.slice(0, match.index)))),
    ...Array.from(requires, (match) => make(match[1], false, false)),
  ]
}

/** Line comments, block comments and nothing in strings. */
export function withoutComments(text: string): string {
  const token = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g
  return text.replace(token, (found) => (found.startsWith('/') ? found.replaceAll(/[^\n]/g, ' ') : found))
}

/** `protocol/errors.ts` for a relative import, the specifier itself for a package. */
export function resolveImport(from: string, specifier: string): string {
  return specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : specifier
}

/** One line for each import that no rule allows. A file that no rule fits is a violation too. */
export function findViolations(sources: readonly Source[], rules: readonly ImportRule[]): string[] {
  return sources.flatMap(({ path, text }) => {
    const rule = rules.find(({ files }) => files.test(path))
    if (rule === undefined) return [`${path}: no rule says what it may import`]
    return readImports(text)
      .filter((found) => !isAllowed(path, found, rule))
      .map(({ specifier, isDynamic }) => {
        const how = isDynamic ? `import('${specifier}')` : `import '${specifier}'`
        return `${path}: ${how} is forbidden: ${rule.reason}`
      })
  })
}

function isAllowed(path: string, { specifier, isDynamic, isTypeOnly }: Import, rule: ImportRule): boolean {
  const target = resolveImport(path, specifier)
  return rule.mayImport.some((allowed) => {
    if (allowed instanceof RegExp) return allowed.test(target)
    return allowed.pattern.test(target) && (allowed.only === 'dynamic' ? isDynamic || isTypeOnly : isTypeOnly)
  })
}
