import { expect, test } from 'vitest'
import { generatedTexts } from '../../scripts/conformance-table.ts'

const one = (broker: string, title: string, status = 'passed') => ({
  ancestorTitles: [`conformance: ${broker}`, 'side by side'],
  title,
  status,
})

function textOf(file: string, ...cases: ReturnType<typeof one>[]): string {
  const texts = generatedTexts({ testResults: [{ assertionResults: cases }] })
  return texts.find((generated) => generated.file === file)?.text ?? ''
}

test('a row holds where all its cases passed, is weaker with the reasons of those left out, fails or has no tests', () => {
  const text = textOf(
    'README.md',
    one('embedded', 'cancel: what waits is removed [capability removesQueued is false]', 'skipped'),
    one('embedded', 'cancel: what runs is told'),
    one('embedded', 'retry: a send', 'failed'),
    one('memory', 'cancel: what waits is removed'),
    one('memory', 'cancel: what runs is told'),
    one('memory', 'retry: a send'),
    one('memory', 'drain: all ends'),
    one('memory', 'seam delay: not before its time', 'failed'),
  )
  expect(text).toContain(
    [
      '| rule | memory | embedded |',
      '| --- | --- | --- |',
      '| cancel | holds | weaker: what waits is passed over, not removed |',
      '| retry | holds | fails |',
      '| drain | holds | not tested |',
    ].join('\n'),
  )
  expect(text).not.toContain('seam delay')
  expect(text).toContain('# replyto')
})

test('the tests of a row are listed once, by what they claim', () => {
  const text = textOf(
    'docs/semantics.md',
    one('memory', 'cancel: what waits is removed'),
    one('embedded', 'cancel: what waits is removed [capability removesQueued is false]', 'skipped'),
    one('memory', 'cancel: what runs is told'),
  )
  expect(text).toContain('**cancel**\n\n- what waits is removed\n- what runs is told\n')
})
