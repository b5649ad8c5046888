import { defineService, method, type } from 'replyto/contract'

export interface Work {
  /** Names the work in the ledger. */
  readonly key: string
}

export const chaos = defineService('chaos', {
  methods: {
    /** Takes `ms` and gives the key back. */
    echo: method({ input: type<Work & { readonly ms: number }>(), output: type<string>() }),
    /** Ends when the test opens its gate, or when its signal aborts. */
    hold: method({ input: type<Work>(), output: type<string>() }),
    /** Ends when the test opens its gate, whatever its signal says. */
    stubborn: method({ input: type<Work>(), output: type<string>() }),
    /** Ends its process the first time. */
    fatal: method({ input: type<Work>(), output: type<string>() }),
    /** Blocks the event loop. */
    block: method({ input: type<Work & { readonly ms: number }>(), output: type<string>() }),
    note: method({ input: type<Work>(), oneWay: true }),
    /** Fails the first time; the next attempt is stored in the broker meanwhile. */
    late: method({ input: type<Work>(), oneWay: true, retry: { attempts: 2 } }),
    /** Fails finally. */
    broken: method({ input: type<Work>(), oneWay: true, retry: { attempts: 1 } }),
  },
})
