/*
 * Secrets stay out of errors and log lines. What counts as one: what stands before the last `@` of a URL, and the values of
 * names like `password`. Too much is masked rather than too little: `@`, `/`, `:` and `#` may stand in a password unescaped.
 */
const MASK = '***'
/** `sasl` as a whole: whatever it holds is there to log in with. */
const SECRET = String.raw`(?:passw(?:or)?d|passphrase|pwd|secret|token|credentials?|sasl|authorization|(?:api|access|private)[-_]?key)`
const SECRET_NAME = new RegExp(`${SECRET}|^(?:pass|auth|key|sig|signature)$`, 'i')
const MAY_HOLD_SECRET = new RegExp(String.raw`[@&?=]|${SECRET}|\bpass\b|bearer|basic`, 'i')

/** `password=x`, `sasl.password = x`. */
const ASSIGNED = new RegExp(String.raw`(${SECRET}[\w-]{0,32}["']?\s{0,3}=\s{0,3})("[^"]*"?|'[^']*'?|[^\s&"']+)`, 'gi')
/** Words that mean nothing special in prose. */
const PARAMETER = /([?&](?:pass|auth|key|sig|signature)=)[^\s&"']+/gi
/** `"password":"x"`, `password: 'x'`. Without quotation marks it is prose: `token: expected a string`. */
const QUOTED = new RegExp(
  String.raw`((?:${SECRET}|\bpass)[\w-]{0,32}["']?\s{0,3}:\s{0,3})("(?:[^"\\]|\\[^])*"?|'(?:[^'\\]|\\[^])*'?)`,
  'gi',
)
const SCHEME_AND_TOKEN = /\b(bearer|basic)\s{1,3}[\w+/=.~-]{8,}/gi

/**
 * A text without its secrets: userinfo of URLs of any scheme but `file:`, with and without `//`, lists of them, and values
 * of secret names in queries, JSON and assignments. A URL ends where white space begins: `redactUrl` knows better.
 */
export function redact(text: string): string {
  if (!MAY_HOLD_SECRET.test(text)) return text
  const masked = text.includes('@') ? text.replace(/\S+/g, redactWord) : text
  return masked
    .replace(ASSIGNED, `$1${MASK}`)
    .replace(PARAMETER, `$1${MASK}`)
    .replace(QUOTED, `$1"${MASK}"`)
    .replace(SCHEME_AND_TOKEN, `$1 ${MASK}`)
}

/** Where the host was forgotten the password stands in the place of the port. */
const NO_PORT = /^([a-z][a-z0-9+.-]*:\/\/[^/?#:[]*:)(?!\d{1,5}(?:[/?#,]|$))[^]+$/i

/** The same for what is known to be one URL, or a list of them, also a malformed one: white space does not end it. */
export function redactUrl(url: string): string {
  if (isLocal(url)) return url
  const at = url.lastIndexOf('@')
  return redact(at < 0 ? url.replace(NO_PORT, `$1${MASK}`) : redactUserinfo(url, at, true))
}

/**
 * A copy of options, to be shown: strings as `redact` leaves them, values of secret names masked, functions and instances by
 * their kind, at most 4 levels and 20 entries each.
 */
export function redactValue(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return (value.includes('://') ? redactUrl(value) : redact(value)).slice(0, MAX_TEXT)
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value)
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return value
  if (depth >= MAX_LEVELS) return Array.isArray(value) ? '[…]' : '{…}'
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((item) => redactValue(item, depth + 1))
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return 'an instance of a class'
  const entries = Object.entries(value).slice(0, MAX_ENTRIES)
  return Object.fromEntries(
    entries.map(([name, item]) => [name, SECRET_NAME.test(name) ? MASK : redactValue(item, depth + 1)]),
  )
}

const MAX_LEVELS = 4
const MAX_ENTRIES = 20
const MAX_TEXT = 200

/** What was given where something else belongs, short and on one line: `got 5`, `got "x"`, `got {"sasl":"***"}`. */
export function describeValue(value: unknown): string {
  if (typeof value === 'number' || value === undefined) return String(value)
  try {
    return JSON.stringify(redactValue(value)).slice(0, MAX_TEXT)
  } catch {
    return `a ${typeof value} that cannot be read` // a getter or proxy of the user's threw
  }
}

/**
 * What a broker's library threw, as it may be kept as a `cause`: name, texts and the facts of a system error. Its other
 * fields may hold the URL or the command it failed with.
 */
export function redactError(thrown: unknown, depth = 0): unknown {
  if (!(thrown instanceof Error)) return redactValue(thrown)
  if ('~replyto' in thrown) return thrown // its texts went through here when it was made
  const { message, name, stack, cause } = thrown
  const options = cause === undefined || depth >= MAX_LEVELS ? {} : { cause: redactError(cause, depth + 1) }
  const copy = new Error(redact(message), options)
  for (const [field, text] of Object.entries({ name, stack: redact(stack ?? message) }))
    Object.defineProperty(copy, field, { value: text, configurable: true, writable: true })
  const facts = thrown as Error & Readonly<Record<string, unknown>> // each is looked at before it is taken
  for (const field of ['code', 'errno', 'syscall', 'address', 'port']) {
    const fact = facts[field]
    if (typeof fact === 'string' || typeof fact === 'number') Object.assign(copy, { [field]: fact })
  }
  return copy
}

function redactWord(word: string): string {
  const at = word.lastIndexOf('@')
  return at < 0 ? word : redactUserinfo(word, at, false)
}

/** `isUrl`: without a scheme too it is one. */
function redactUserinfo(text: string, at: number, isUrl: boolean): string {
  const start = startOfUserinfo(text.slice(0, at), isUrl)
  return start === undefined ? text : `${text.slice(0, start)}${MASK}${text.slice(at)}`
}

/** Behind the first `scheme://`, or where `name:` or `scheme:name:` begins. Undefined: no userinfo, as in `file:///a/@b`. */
function startOfUserinfo(head: string, isUrl: boolean): number | undefined {
  let from = 0
  for (let slashes = head.indexOf('://'); slashes >= 0; slashes = head.indexOf('://', from)) {
    from = slashes + 3
    if (!/(?:^|[^a-z0-9+.-])(?:file|memory|node):\/\/$/i.test(head.slice(0, from))) return from
  }
  if (from > 0) return undefined
  const word = /[^\s"'`([{<,=]/.exec(head)?.index ?? 0
  if (isUrl) return word
  return head.includes(':', word) && !isLocal(head.slice(word)) ? word : undefined
}

/** A path, a module or a name, in which `@` means nothing: `file:///x/node_modules/@scope`. */
function isLocal(text: string): boolean {
  return /^(?:file|memory|node):/i.test(text)
}
