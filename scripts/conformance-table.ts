import { readFileSync, writeFileSync } from 'node:fs'

/*
 * What the conformance suite's run says, as text: the table rows × brokers of the README and the tests of each row in
 * docs/semantics.md. Both stand between the marks `<!-- generated: <name> -->` and `<!-- end: <name> -->`.
 */

/** What is used of Vitest's JSON report. */
export interface ConformanceReport {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[]
      /** `<row>: <claim>`; of one that is left out, `<row>: <claim> [<why>]`. */
      readonly title: string
      readonly status: string
    }[]
  }[]
}

interface Case {
  readonly broker: string
  readonly row: string
  readonly claim: string
  readonly status: string
}

const SUITE = 'conformance: '

/** The files, and what should stand in them. */
export function generatedTexts(report: ConformanceReport): readonly { readonly file: string; readonly text: string }[] {
  const cases = casesOf(report)
  return [
    { file: 'README.md', text: withSection('README.md', 'rows', tableOf(cases)) },
    { file: 'docs/semantics.md', text: withSection('docs/semantics.md', 'tests', testsOf(cases)) },
  ]
}

/** The files that say something else than this run; `npm run table` writes them. */
export function outdatedFiles(report: ConformanceReport): readonly string[] {
  return generatedTexts(report).flatMap(({ file, text }) => (readFileSync(file, 'utf8') === text ? [] : [file]))
}

export function writeGenerated(report: ConformanceReport): void {
  for (const { file, text } of generatedTexts(report)) writeFileSync(file, text)
}

/** The cases of rules, in the order of the suite; what an adapter alone is asked is not in the table. */
function casesOf(report: ConformanceReport): Case[] {
  return report.testResults.flatMap(({ assertionResults }) =>
    assertionResults.flatMap(({ ancestorTitles, title, status }) => {
      const broker = ancestorTitles.find((ancestor) => ancestor.startsWith(SUITE))?.slice(SUITE.length)
      const colon = title.indexOf(': ')
      if (broker === undefined || colon < 0 || title.startsWith('seam ')) return []
      return [{ broker, row: title.slice(0, colon), claim: title.slice(colon + 2), status }]
    }),
  )
}

function tableOf(cases: readonly Case[]): string {
  const brokers = unique(cases.map(({ broker }) => broker)).toSorted(byAge)
  const lines = unique(cases.map(({ row }) => row)).map((row) => {
    const cells = brokers.map((broker) => cellOf(cases.filter((one) => one.row === row && one.broker === broker)))
    return `| ${[row, ...cells].join(' | ')} |`
  })
  return [`| rule | ${brokers.join(' | ')} |`, `| --- |${' --- |'.repeat(brokers.length)}`, ...lines].join('\n')
}

/** In the order in which they came into the library, which is that of docs/. */
const BROKERS = ['memory', 'embedded', 'rabbitmq', 'redis', 'kafka']

function byAge(one: string, other: string): number {
  return BROKERS.indexOf(one) - BROKERS.indexOf(other)
}

function cellOf(cases: readonly Case[]): string {
  if (cases.length === 0) return 'not tested'
  if (cases.some(({ status }) => status === 'failed')) return 'fails'
  const left = cases.filter(({ status }) => status !== 'passed')
  if (left.length === 0) return 'holds'
  return `weaker: ${unique(left.map(({ claim }) => inWords(/\[(.*)\]$/.exec(claim)?.[1] ?? 'not run'))).join('; ')}`
}

/** What a capability that is missing means for whoever reads the table. */
const IN_WORDS: Readonly<Record<string, string>> = {
  dedupeMs: 'a second publish of an id is stored again',
  removesQueued: 'what waits is passed over, not removed',
  provesFirstDelivery: 'a first delivery is not proved',
  knowsGone: 'a caller that is gone is not noticed',
}

function inWords(reason: string): string {
  const capability = /^capability (\w+) is /.exec(reason)?.[1]
  return (capability === undefined ? undefined : IN_WORDS[capability]) ?? reason
}

function testsOf(cases: readonly Case[]): string {
  const without = (claim: string): string => claim.replace(/ \[.*\]$/, '')
  return unique(cases.map(({ row }) => row))
    .map((row) => {
      const claims = unique(cases.filter((one) => one.row === row).map(({ claim }) => without(claim)))
      return [`**${row}**`, '', ...claims.map((claim) => `- ${claim}`)].join('\n')
    })
    .join('\n\n')
}

function withSection(file: string, name: string, content: string): string {
  const [begin, end] = [`<!-- generated: ${name} -->`, `<!-- end: ${name} -->`]
  const text = readFileSync(file, 'utf8')
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${file} has no marks ${begin} … ${end}`)
  return `${text.slice(0, from + begin.length)}\n\n${content}\n\n${text.slice(to)}`
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)]
}
