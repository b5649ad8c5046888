/** Of one mailbox. An id of a call has no '/'. */
export interface MailboxPlace {
  /** Of what holds it at the broker. */
  readonly name: string
  /** Those who read it now listen to it. */
  readonly topic: string
  readonly keepMs: number
}

export function mailboxPlace(namespace: string, callId: string, keepMs: number): MailboxPlace {
  return { name: `${namespace}.kept.${callId}`, topic: `kept.${callId}`, keepMs }
}

/** The lifetime is in the address, so that an outcome that comes late can make its mailbox anew. */
export function mailboxAddress({ name, keepMs }: Pick<MailboxPlace, 'name' | 'keepMs'>): string {
  return `${name}/${keepMs}`
}

/** Undefined: it is no mailbox of this namespace. */
export function parseMailboxAddress(namespace: string, address: string, maxKeepMs: number): MailboxPlace | undefined {
  const prefix = `${namespace}.kept.`
  if (!address.startsWith(prefix)) return undefined
  const [, callId, keepMs] = /^([^/]{1,64})\/(\d{1,12})$/.exec(address.slice(prefix.length)) ?? []
  return callId === undefined ? undefined : mailboxPlace(namespace, callId, Math.min(Number(keepMs), maxKeepMs))
}
