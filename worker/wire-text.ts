/** What a stranger's message says where text should stand: other values become '', long ones are cut. */
export function wireText(value: unknown, maxChars = 512): string {
  return typeof value === 'string' ? value.slice(0, maxChars) : ''
}
