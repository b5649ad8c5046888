// For users: what both teams share. Pulls in no broker and no native code.
export { defineService, type ServiceDefinition } from './define-service.ts'
export { method, methodsOf, type } from './method.ts'
export {
  describeService,
  type MethodDescription,
  type SchemaDescription,
  type ServiceDescription,
} from './describe-service.ts'
export type {
  AnyMethod,
  CallMethod,
  MethodDefinition,
  MethodTimes,
  OneWayMethod,
  RetryOptions,
  Service,
  StreamMethod,
} from './types.ts'
export type { ErrorCode } from '../protocol/error-codes.ts'
