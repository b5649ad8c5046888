import type { Spread } from './driver.ts'

export const rate = (value: number): string => (value < 10_000 ? value.toFixed(0) : `${(value / 1000).toFixed(1)}k`)
export const ms = (value: number): string => value.toFixed(value < 10 ? 2 : 1)
export const percent = (value: number): string => `${(value * 100).toFixed(2)} %`
export const ratio = (ours: number, it: number): string => `${(ours / it).toFixed(2)} ×`
export const spread = ({ min, median, max }: Spread, text: (value: number) => string): string =>
  `${text(median)} (${text(min)}–${text(max)})`

/** @param rows the first one is the head */
export function table(title: string, rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  '),
  )
  return [title, ...lines].join('\n')
}
