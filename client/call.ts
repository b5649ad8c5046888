import type { Stage } from '../protocol/errors.ts'
import type { CallState, Settled } from './call-state.ts'
import { createProgressLog } from './progress-log.ts'
import type { Call, Outcome } from './types.ts'

/** What `start` makes a call with: it gives the state and reports its end. */
export interface CallStarter {
  start(onSettled: (end: Settled) => void, onProgress: (value: unknown) => void): CallState
  cancel(state: CallState, reason: string): void
}

/**
 * The handle of a started call. Lazy: a promise, which could reject unseen, is only made when somebody asks for one.
 * A class because `Call` extends Promise, whose three methods every call would else carry as closures.
 */
export function startCall<Out, Fail, Prog>(starter: CallStarter): Call<Out, Fail, Prog> {
  return new StartedCall<Out, Fail, Prog>(starter)
}

class StartedCall<Out, Fail, Prog> implements Call<Out, Fail, Prog> {
  readonly [Symbol.toStringTag] = 'Call'
  readonly id: string
  readonly #starter: CallStarter
  readonly #state: CallState
  readonly #progress = createProgressLog()
  #end: Settled | undefined
  #waiting: (() => void)[] = []

  constructor(starter: CallStarter) {
    this.#starter = starter
    this.#state = starter.start(
      (end) => this.#onEnd(end),
      (value) => this.#progress.push(value),
    )
    this.#state.onStage = () => this.#wake()
    this.id = this.#state.id
  }

  get stage(): Stage | 'settled' {
    return this.#end === undefined ? this.#state.stage : 'settled'
  }

  get progress(): AsyncIterable<Prog> {
    return this.#progress.values as AsyncIterable<Prog> // parsed by the contract's progress schema
  }

  cancel(reason = 'no reason given'): void {
    this.#starter.cancel(this.#state, reason)
  }

  async outcome(): Promise<Outcome<Out, Fail>> {
    return (await this.#settled()) as Outcome<Out, Fail> // parsed by the contract's schemas
  }

  async stored(): Promise<void> {
    while (this.#state.stage === 'outbox' && this.#end === undefined) await this.#next()
    if (this.#end?.status === 'error' && this.#state.stage === 'outbox') throw this.#end.error
  }

  // oxlint-disable-next-line unicorn/no-thenable -- a Call is awaited like a promise
  then<A = Out, B = never>(
    onFulfilled?: ((value: Out) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#value().then(onFulfilled, onRejected)
  }

  catch<B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<Out | B> {
    return this.#value().catch(onRejected)
  }

  finally(onFinally?: (() => void) | null): Promise<Out> {
    return this.#value().finally(onFinally)
  }

  async #value(): Promise<Out> {
    const end = await this.#settled()
    if (end.status === 'error') throw end.error
    return end.value as Out // parsed by the contract's output schema
  }

  async #settled(): Promise<Settled> {
    while (this.#end === undefined) await this.#next()
    return this.#end
  }

  #next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #onEnd(end: Settled): void {
    this.#end = end
    this.#progress.end()
    this.#wake()
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
