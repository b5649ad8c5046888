import { ConfigError } from '../protocol/errors.ts'
import type { QueueRef } from '../protocol/message.ts'
import { majorOf } from '../protocol/queue-names.ts'
import { factsOf } from './method.ts'
import type { Service } from './types.ts'

/** The queue of a service in a group. */
export function queueOf(service: Service, group: string): QueueRef {
  const major = majorOf(service.version)
  if (major === undefined)
    throw new ConfigError(
      `service '${service.name}' has the version ${JSON.stringify(service.version)}, which is not like '1.4.2'`,
    )
  const methods = Object.values(service.methods).map(factsOf)
  return {
    group,
    service: service.name,
    major,
    features: {
      keyed: methods.some(({ keyed }) => keyed === true),
      priority: methods.some(({ priority }) => priority === true),
      frames: false,
    },
  }
}

/** Refuses what is no contract, for callers without types and for contracts of a newer kind. */
export function assertService(value: unknown): asserts value is Service {
  const mark: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, '~replyto') : undefined
  if (mark === 1) return
  throw new ConfigError(
    mark === undefined
      ? 'a service must be made by defineService(…)'
      : `this contract was made by a newer replyto (kind ${String(mark)}): update the package here`,
  )
}
