export interface EventuallyOptions {
  /** How long it may take. @default 10_000 */
  readonly within?: number | undefined
  /** What is waited for, for the error. */
  readonly what?: string | undefined
}

const LOOK_EVERY_MS = 5
const DEFAULT_WITHIN_MS = 10_000

/** Looks until the claim is true (or gives something that is neither false nor undefined), and gives that; else throws. */
export async function eventually<T>(
  look: () => T | Promise<T>,
  { within = DEFAULT_WITHIN_MS, what }: EventuallyOptions = {},
): Promise<Exclude<T, false | undefined>> {
  const endsAt = performance.now() + within
  for (;;) {
    const seen = await look()
    if (seen !== false && seen !== undefined) return seen as Exclude<T, false | undefined> // both are excluded here
    if (performance.now() > endsAt)
      throw new Error(`did not become true within ${within} ms: ${what ?? look.toString().slice(0, 200)}`)
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}

/**
 * Checks again and again until nothing is thrown, else throws what the last check threw. For conformance cases, which run side
 * by side: there `expect.poll` does not know which of them calls it.
 */
export async function eventuallyPasses(
  check: () => unknown,
  { within = DEFAULT_WITHIN_MS }: Pick<EventuallyOptions, 'within'> = {},
): Promise<void> {
  const endsAt = performance.now() + within
  for (;;) {
    try {
      await check()
      return
    } catch (error) {
      if (performance.now() > endsAt) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}

export interface Gate {
  readonly opened: Promise<void>
  readonly isOpen: boolean
  open(): void
}

/** Something that a handler or a fault waits for until the test lets it go on. */
export function createGate(): Gate {
  let isOpen = false
  let resolveOpened = (): void => {}
  const opened = new Promise<void>((resolve) => (resolveOpened = resolve))
  return {
    opened,
    get isOpen() {
      return isOpen
    },
    open() {
      isOpen = true
      resolveOpened()
    },
  }
}

/** All that an iterable gives; Node 20 has no Array.fromAsync. */
export async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
