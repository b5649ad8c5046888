/** FNV-1a, 32 bits: https://datatracker.ietf.org/doc/html/draft-eastlake-fnv. Which of so many a text belongs to, for ever. */
export function placeOf(text: string, among: number): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash >>> 0) % among
}
