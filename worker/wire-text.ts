/** What a stranger's message says where text should stand: other values become '', long ones are cut. */
export function wireText(value: unknown, maxChars = 512): string {
  return typeof value === 'string' ? value.slice(0, maxChars) : ''
}

/** Whatever it is, in quotation marks and short: for error texts. */
export function quote(value: unknown): string {
  return JSON.stringify(String(value).slice(0, 80))
}
