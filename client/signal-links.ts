/**
 * Many calls on one AbortSignal, one listener: Node warns of a leak from the eleventh listener on.
 * Shared by the process; a signal without calls has no entry.
 */
const links = new WeakMap<AbortSignal, { readonly listeners: Set<() => void>; readonly onAbort: () => void }>()

/** Calls the listener when the signal aborts, at once if it has. Returns what ends that; calling it twice is harmless. */
export function linkSignal(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener()
    return () => {}
  }
  const link = links.get(signal) ?? createLink(signal)
  link.listeners.add(listener)
  return () => {
    link.listeners.delete(listener)
    if (link.listeners.size > 0 || links.get(signal) !== link) return
    signal.removeEventListener('abort', link.onAbort)
    links.delete(signal)
  }
}

/** Why it was aborted, for people. */
export function reasonOf({ reason }: { readonly reason: unknown }): string {
  return reason instanceof Error ? reason.message : typeof reason === 'string' ? reason : 'its signal was aborted'
}

function createLink(signal: AbortSignal): NonNullable<ReturnType<typeof links.get>> {
  const listeners = new Set<() => void>()
  const onAbort = (): void => {
    for (const listener of listeners) listener()
  }
  const link = { listeners, onAbort }
  signal.addEventListener('abort', onAbort, { once: true })
  links.set(signal, link)
  return link
}
