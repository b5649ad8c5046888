import { defineService, method } from 'replyto/contract'
import { z } from 'zod'

/** What is found out about one file. */
const Figures = z.object({
  bytes: z.number().int(),
  sha256: z.string().length(64),
  /** Compressed with gzip at a fixed level. */
  gzipBytes: z.number().int(),
  lines: z.number().int(),
  words: z.number().int(),
})
export type Figures = z.infer<typeof Figures>

/** All that the client and its workers have in common: only the path travels, the worker reads the file. */
export const fileFigures = defineService('file-figures', {
  methods: {
    analyse: method({
      input: z.object({ path: z.string() }),
      output: Figures.extend({ worker: z.string() }),
      errors: { UNREADABLE: z.object({ path: z.string(), reason: z.string() }) },
      timeoutMs: 60_000,
      idempotent: true,
      retry: { attempts: 5, minDelayMs: 100, maxDelayMs: 2_000 },
    }),
  },
})
