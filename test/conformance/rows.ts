/** The rules that hold on every broker, in the order in which they are read; each has at least one case. */
export const ROWS = {
  durable: 'send() resolves, and a call counts as queued, only when the broker has stored it.',
  'at least once': 'What is stored runs until it succeeded, failed finally, expired or was cancelled.',
  'one outcome': 'Every promise settles exactly once, at the latest at its deadline, also while the broker is away.',
  'honest errors': 'Every error says truly whether the work ran, and which call it was.',
  'declared errors': 'Errors of the contract are final, typed and never tried again.',
  reconnect: 'Pending calls survive any outage that is shorter than their deadline.',
  retry: 'A send is tried again, a call only if its contract says so, and never after its deadline.',
  'dead letter': 'A failure that nobody else would see is kept, with reason, attempts and history.',
  settlement: 'Each way in which an attempt ends has one settlement.',
  overrun: 'A handler that ignores the end of its time loses its call but keeps its slot.',
  'crash loop': 'Only a crash of a worker that ran a message alone is held against that message.',
  deadline: 'A call always has a deadline, counts queue time, and is not run after it.',
  'any delay': 'A send waits in the broker for as long as it says, and holds up nobody.',
  cancel: 'A cancel is a request; the promise ends within a moment with what is proved by then.',
  'kept results': 'The outcome of a call with keepMs is there for whoever asks by its id.',
  'order by key': 'Calls of one key start in their order, one at a time among the workers; other keys run beside.',
  priority: 'High runs before normal, for a method that declares it.',
  pause: 'A paused queue takes everything and hands nothing out.',
  groups: 'There is a queue per namespace, group, service and major version; its workers compete.',
  versions: 'A worker that is too old for a message leaves it to newer ones.',
  'nobody listens': 'A call without workers waits until its deadline, and its error says so.',
  'back-pressure': 'What waits is bounded; beyond it OVERLOADED.',
  drain: 'A worker that closes finishes what runs and gives the rest back.',
  duplicates: 'A worker runs one call once, however often it is handed over.',
  nested: 'A call made inside a handler inherits its deadline and its signal.',
  'silent consumer': 'A consumer that the broker has forgotten is replaced; health means consuming, not connected.',
  streams: 'Items come in order, each once, no faster than they are read; whatever ends the stream ends both sides.',
  counted: 'What is dropped is counted.',
  'bad input': 'Bad input gets a clear error, nothing is lost and the worker goes on.',
} as const

export type Row = keyof typeof ROWS

/** What an adapter alone is asked, by topic. */
export const SEAM_TOPICS = {
  'seam publishing': 'One outcome per message, in order; only some prove that it is not stored.',
  'seam consuming': 'Deliveries in order, within the credit, to competing consumers.',
  'seam settlement': 'Each delivery ends once: done, again later, kept as dead, or given back.',
  'seam delay': 'Nothing is handed out before its delay or after its expiry.',
  'seam keys': 'Of a key one message is out at a time, in order.',
  'seam priority': 'What is high goes first.',
  'seam inbox': 'One reader per address; replies outlive the connection.',
  'seam mailbox': 'The outcome of one call, kept for whoever asks for it.',
  'seam removal': 'What waits can be taken away.',
  'seam dead letters': 'They are kept once per id, listed, replayed and purged by filters.',
  'seam broadcast': 'Whoever listens now hears it.',
  'seam pausing': 'A paused queue hands nothing out.',
  'seam queues': 'Counts and purges of one queue leave the others alone.',
} as const

export type SeamTopic = keyof typeof SEAM_TOPICS

/** Each has a test with exactly this name. */
export const INVARIANTS = [
  'register before publish',
  'reply confirmed before ack',
  'each delivery settled exactly once',
  'each call has exactly one outcome',
  'a reply nobody waits for is counted, not thrown',
] as const

export type Invariant = (typeof INVARIANTS)[number]
