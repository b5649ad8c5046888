import { defineService, method, type } from 'replyto'
import { z } from 'zod'

export const images = defineService('images', {
  methods: {
    resize: method({
      input: z.object({ width: z.number(), height: z.number().default(1) }),
      output: type<{ readonly area: number }>(),
      errors: { TOO_WIDE: type<{ readonly limit: number }>() },
      progress: type<number>(),
    }),
    slow: method({ timeoutMs: 3_600_000 }),
    mend: method({
      output: type<number>(),
      timeoutMs: 3_600_000,
      retry: { attempts: 3, minDelayMs: 60_000, maxDelayMs: 60_000 },
    }),
    note: method({
      input: type<string>(),
      oneWay: true,
      retry: { attempts: 3, minDelayMs: 60_000, maxDelayMs: 60_000 },
    }),
  },
})
