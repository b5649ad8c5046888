import type { QueueRef } from '../../protocol/message.ts'
import { queueName } from '../../protocol/queue-names.ts'

/** Where a queue lies. All keys of one have its name in braces, so that a cluster has them on one node. */
export interface WorkQueue {
  /** `<namespace>.q.<group>.<service>.<major>`, also the name of the queue in BullMQ. */
  readonly name: string
  /** What BullMQ puts before each key of it. */
  readonly prefix: string
  readonly isKeyed: boolean
  readonly hasPriority: boolean
  /** A key of BullMQ, or one of ours beside them. */
  readonly key: (part: string) => string
}

export function workQueue(namespace: string, ref: QueueRef): WorkQueue {
  const name = queueName(namespace, ref)
  const prefix = `{${name}}`
  return {
    name,
    prefix,
    isKeyed: ref.features.keyed,
    hasPriority: ref.features.priority,
    key: (part) => `${prefix}:${name}:${part}`,
  }
}

/** Ours, beside those of BullMQ. */
export const OWN = {
  /** Hash: the key of messages → the id of the job that has its turn. */
  turns: 'rt:turns',
  /** Hash: the id of a job that waits behind a turn → the key. */
  behind: 'rt:behind',
  /** List of the ids that wait for the turn of a key, which follows. */
  line: 'rt:line:',
  /** Counts hand-overs of what has a key. */
  fence: 'rt:fence',
  /** Sorted set: who consumes → until when that is believed, epoch ms. */
  consumers: 'rt:consumers',
} as const

/** Of the job that is the dead letter of an id. No id of a call has a '~'. */
export function letterId(id: string): string {
  return `dead~${id}`
}

export function channelOf(namespace: string, topic: string): string {
  return `${namespace}.ctl.${topic}`
}
