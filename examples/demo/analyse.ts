import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { Figures } from './contract.ts'

const GZIP_LEVEL = 6
const CHUNK_BYTES = 256 * 1024
const NEWLINE = 10

/** Reads a file once, in chunks. Rejects as `fs` does if it cannot be read. */
export async function analyse(path: string): Promise<Figures> {
  const hash = createHash('sha256')
  const gzip = createGzip({ level: GZIP_LEVEL })
  let gzipBytes = 0
  gzip.on('data', (part: Buffer) => (gzipBytes += part.length))
  const counter = createTextCounter()
  let bytes = 0
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    hash.update(chunk)
    counter.add(chunk)
    await new Promise<void>((resolve) => gzip.write(chunk, () => resolve()))
  }
  gzip.end()
  await finished(gzip)
  return { bytes, sha256: hash.digest('hex'), gzipBytes, lines: counter.lines(), words: counter.words() }
}

/** Lines and words as `wc` counts them in bytes: line ends, and runs of what is not white space. */
function createTextCounter(): { add(chunk: Buffer): void; lines(): number; words(): number } {
  let lines = 0
  let words = 0
  let isInWord = false
  return {
    add(chunk) {
      for (const byte of chunk) {
        if (byte === NEWLINE) lines++
        const isSpace = byte === 32 || (byte >= 9 && byte <= 13)
        if (!isSpace && !isInWord) words++
        isInWord = !isSpace
      }
    },
    lines: () => lines,
    words: () => words,
  }
}

/** Why a file cannot be read: the code of the system's error, such as ENOENT. Other errors are thrown on. */
export function unreadableReason(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  throw error
}
