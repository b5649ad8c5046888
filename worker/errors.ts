/** Thrown by a handler: never run again. */
export class NonRetryableError extends Error {
  override readonly name: string = 'NonRetryableError'

  constructor(message?: string, options?: ErrorOptions) {
    super(message, options)
    brand(this, 'NonRetryableError')
  }

  /** By a string, not the class: two copies of the package agree. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return this === NonRetryableError ? hasBrand(value, 'NonRetryableError') : inherits(this, value)
  }
}

/** Thrown by a handler: run again after this time, if an attempt is left. */
export class RetryAfter extends Error {
  override readonly name: string = 'RetryAfter'
  readonly ms: number

  /** @throws RangeError if `ms` is not a finite number ≥ 0. */
  constructor(ms: number, message?: string, options?: ErrorOptions) {
    if (!Number.isFinite(ms) || ms < 0) throw new RangeError(`RetryAfter takes milliseconds ≥ 0; got ${String(ms)}`)
    super(message ?? `to be run again after ${ms} ms`, options)
    this.ms = ms
    brand(this, 'RetryAfter')
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return this === RetryAfter ? hasBrand(value, 'RetryAfter') : inherits(this, value)
  }
}

const BRAND = '~replyto-handler'

function brand(error: Error, name: string): void {
  Object.defineProperty(error, BRAND, { value: name })
}

function hasBrand(value: unknown, name: string): boolean {
  return typeof value === 'object' && value !== null && Reflect.get(value, BRAND) === name
}

/** A user's subclass means itself. */
function inherits(asked: { readonly prototype: object }, value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.prototype.isPrototypeOf.call(asked.prototype, value)
}
