/** What passed the seam, in order: the evidence of the claims about order and number. */
export interface SeamEvent {
  readonly kind:
    | 'publish'
    | 'outcome'
    | 'delivery'
    | 'ack'
    | 'retry'
    | 'deadLetter'
    | 'release'
    | 'reply'
    | 'replyOutcome'
    | 'incoming'
    | 'openInbox'
    | 'closeInbox'
    | 'consume'
    | 'stopConsuming'
    | 'broadcast'
    | 'stats'
    | 'stop'
  /** Of the call; empty where there is none. */
  readonly id: string
  /** Which hand-over, counted from 1 over the adapter. */
  readonly delivery?: number | undefined
  /** The outcome, the reply's type, the header values that matter. */
  readonly detail?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export interface SeamEvents {
  readonly all: readonly SeamEvent[]
  add(event: SeamEvent): void
  of(kind: SeamEvent['kind'], id?: string): readonly SeamEvent[]
  /** The place of the first such event in the order of all; -1: there is none. */
  indexOf(kind: SeamEvent['kind'], detail?: string): number
}

export function createSeamEvents(): SeamEvents {
  const all: SeamEvent[] = []
  return {
    all,
    add: (event) => void all.push(event),
    of: (kind, id) => all.filter((event) => event.kind === kind && (id === undefined || event.id === id)),
    indexOf: (kind, detail) =>
      all.findIndex((event) => event.kind === kind && (detail === undefined || event.detail === detail)),
  }
}
