import type { QueueRef } from './message.ts'
import { describeValue } from './redact.ts'

const NAME = /^[a-z][a-z0-9-]{0,39}$/
const METHOD = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/
const RESERVED_METHODS = new Set(['then', 'constructor', '__proto__'])

/** What is wrong with the name of a service, group, namespace or client, as the end of a sentence; undefined: nothing. */
export function nameProblem(name: unknown): string | undefined {
  return typeof name === 'string' && NAME.test(name)
    ? undefined
    : `must be 1 to 40 of a-z, 0-9 and '-', beginning with a letter; got ${quote(name)}`
}

export function methodNameProblem(name: string): string | undefined {
  if (RESERVED_METHODS.has(name)) return `must not be ${quote(name)}, which JavaScript gives a meaning of its own`
  return METHOD.test(name)
    ? undefined
    : `must be 1 to 64 of A-Z, a-z, 0-9 and '_', not beginning with a digit; got ${quote(name)}`
}

const VERSION = /^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})(?:[-+][0-9A-Za-z.+-]+)?$/

/**
 * `1.4.2` → `v1`, `0.3.1` → `v0-3`: what may change without breaking callers stays in one queue. Undefined for what is no
 * version: https://semver.org has no leading zeros, which would make two queues of one major.
 */
export function majorOf(version: string): string | undefined {
  const parts = VERSION.exec(version)
  if (parts === null) return undefined
  return parts[1] === '0' ? `v0-${parts[2]}` : `v${parts[1]}`
}

/** By major, minor and patch; what is behind them decides nothing. False for what is no version. */
export function isOlderVersion(version: string, than: string): boolean {
  const [one, other] = [VERSION.exec(version), VERSION.exec(than)]
  if (one === null || other === null) return false
  for (const part of [1, 2, 3]) {
    const difference = Number(one[part]) - Number(other[part])
    if (difference !== 0) return difference < 0
  }
  return false
}

/** The one place where the name of a queue is made. */
export function queueName(namespace: string, queue: QueueRef): string {
  return `${namespace}.q.${queue.group}.${queue.service}.${queue.major}`
}

/** Topics of broadcasts: cancels of calls in this queue, and workers that announce themselves. */
export function cancelTopic(queue: string): string {
  return `cancel.${queue}`
}
export function helloTopic(queue: string): string {
  return `hello.${queue}`
}

function quote(value: unknown): string {
  return typeof value === 'string'
    ? JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
    : describeValue(value)
}
