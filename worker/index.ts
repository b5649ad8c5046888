// For users.
export { createWorker } from './create-worker.ts'
export { NonRetryableError, RetryAfter } from './errors.ts'
export type {
  ContextOf,
  CreateWorkerOptions,
  Handler,
  HandlerContext,
  HandlerInput,
  HandlerOutput,
  Handlers,
  QueueHealth,
  ServeOptions,
  Worker,
  WorkerHealth,
  WorkerOptions,
} from './types.ts'
