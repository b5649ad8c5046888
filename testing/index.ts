// For users' tests.
export { createTestClock, type TestClock } from './test-clock.ts'
export { fakeContext, type FakeContext, type FakeContextOptions } from './fake-context.ts'
export { testService, type TestService, type TestServiceOptions } from './test-service.ts'
