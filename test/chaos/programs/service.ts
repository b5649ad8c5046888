import { defineService, method, type } from 'replyto/contract'

export interface Work {
  /** Names the work in the ledger. */
  readonly key: string
}
export interface TimedWork extends Work {
  /** How long its handler takes. */
  readonly ms: number
}
export interface FlowWork extends TimedWork {
  readonly count: number
  /** Waits for its gate before the first number. */
  readonly isHeld: boolean
}
/** How a handler ends its process. */
export interface FatalWork extends Work {
  readonly how: 'kill' | 'exit' | 'uncaught'
}

export const chaos = defineService('chaos', {
  methods: {
    /** Takes `ms` and gives the key back, as the others do. */
    echo: method({ input: type<TimedWork>(), output: type<string>() }),
    /** Throws. */
    fail: method({ input: type<TimedWork>(), output: type<string>() }),
    /** Throws its declared error. */
    refuse: method({ input: type<TimedWork>(), output: type<string>(), errors: { REFUSED: type<Work>() } }),
    /** Throws the first time. */
    flaky: method({
      input: type<TimedWork>(),
      output: type<string>(),
      retry: { attempts: 3, minDelayMs: 5, maxDelayMs: 20 },
    }),
    /** Ends when the test opens its gate, or when its signal aborts. */
    hold: method({ input: type<Work>(), output: type<string>() }),
    /** Ends when the test opens its gate, whatever its signal says. */
    stubborn: method({ input: type<Work>(), output: type<string>() }),
    /** The first time it neither ends nor keeps its process alive. */
    never: method({ input: type<Work>(), output: type<string>() }),
    /** Ends its process the first time. */
    fatal: method({ input: type<FatalWork>(), output: type<string>() }),
    /** Ends its process each time. */
    poison: method({ input: type<FatalWork>(), output: type<string>() }),
    /** Blocks the event loop the first time. */
    block: method({ input: type<TimedWork>(), output: type<string>() }),
    /** Blocks the event loop each time. */
    stall: method({ input: type<TimedWork>(), output: type<string>() }),
    /** Fails the first time; the next attempt is stored in the broker meanwhile. */
    postponed: method({ input: type<Work>(), output: type<string>(), retry: { attempts: 2 } }),
    /** The numbers from 0 on, `count` of them, each after `ms`; nothing before the test opens its gate, if it has one. */
    flow: method({ input: type<FlowWork>(), yields: type<number>() }),
    note: method({ input: type<Work>(), oneWay: true }),
    /** As `postponed`. */
    late: method({ input: type<Work>(), oneWay: true, retry: { attempts: 2 } }),
    /** Fails finally. */
    broken: method({ input: type<Work>(), oneWay: true, retry: { attempts: 1 } }),
  },
})
