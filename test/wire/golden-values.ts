/** What the golden bytes stand for, by name. A Set and a Map have no JSON. */
export const BODIES: Readonly<Record<string, unknown>> = {
  nothing: undefined,
  null: null,
  booleans: [true, false],
  integers: [0, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_295, -1, -24, -25, -256, -257, -65_537],
  'numbers beyond 32 bits': [4_294_967_296, Number.MAX_SAFE_INTEGER, -4_294_967_297, 1e21],
  fractions: [1.5, -0.1, Number.MIN_VALUE],
  text: ['', 'a', 'Köln', '€', '😀', '"\\\n'],
  'text of 30 characters': 'abcdefghijklmnopqrstuvwxyz0123',
  'an empty object': {},
  'an object': { path: 'a.png', width: 640, tags: ['x'], nested: { deep: [{ a: null }] } },
}

export const CBOR_BODIES: Readonly<Record<string, unknown>> = {
  ...BODIES,
  'not finite': [NaN, Infinity, -Infinity],
  'a property that is undefined': { a: undefined },
  bytes: new Uint8Array([0, 1, 254, 255]),
  dates: [new Date(0), new Date(1_700_000_000_123), new Date(-1500)],
  'big integers': [0n, 5n, -5n, 2n ** 64n - 1n, 2n ** 64n, -(2n ** 64n) - 1n],
  'a map': new Map<unknown, unknown>([
    ['a', 1],
    [2, { b: new Uint8Array([7]) }],
  ]),
  'a set': new Set([1, 'two']),
}

export const ERROR_REPLY = {
  headers: { 'rt-v': '1', 'rt-attempt': '2', 'rt-worker': 'worker-1' },
  error: {
    code: 'INVALID_INPUT',
    message: 'path: expected text',
    executed: 'no',
    retryable: false,
    attempts: 2,
    issues: [{ message: 'expected text', path: ['path', 0] }],
  },
  declared: {
    code: 'NOT_FOUND',
    message: 'no such file',
    executed: 'yes',
    retryable: false,
    attempts: 1,
    data: { path: '/a' },
  },
} as const
