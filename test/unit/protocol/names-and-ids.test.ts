import { describe, expect, test, vi } from 'vitest'
import { HOST_ID } from '../../../protocol/host-id.ts'
import { isOwnId, isValidId, newCallId } from '../../../protocol/ids.ts'
import {
  cancelTopic,
  helloTopic,
  isOlderVersion,
  majorOf,
  methodNameProblem,
  nameProblem,
  queueName,
} from '../../../protocol/queue-names.ts'

describe('call ids', () => {
  const before = Date.now()
  const ids = Array.from({ length: 200_000 }, newCallId)

  test('are UUIDs of version 7', () => {
    const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
    expect(ids.filter((id) => !shape.test(id))).toEqual([])
  })

  test('are unique, and sort in the order in which they were made', () => {
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.findIndex((id, index) => index > 0 && id <= (ids[index - 1] ?? ''))).toBe(-1)
  })

  test('sort too when more are made in a millisecond than it has counts, and when the clock is set back', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 })
    const made = Array.from({ length: 20_000 }, newCallId)
    vi.setSystemTime(Date.now() - 3_600_000)
    made.push(...Array.from({ length: 20_000 }, newCallId))
    vi.useRealTimers()
    expect(new Set(made).size).toBe(40_000)
    expect(made.toSorted()).toEqual(made)
  })

  test('begin with the time', () => {
    const time = Number.parseInt(ids[0]?.replaceAll('-', '').slice(0, 12) ?? '', 16)
    expect(time).toBeGreaterThanOrEqual(before)
    expect(time).toBeLessThanOrEqual(Date.now())
  })

  test('of this process are known', () => {
    const own = ids[0] ?? ''
    expect(isOwnId(own)).toBe(true)
    expect(isValidId(own)).toBe(true)
    expect(isOwnId(`${own.slice(0, -1)}${own.endsWith('0') ? '1' : '0'}`)).toBe(false)
    expect(isOwnId(own.slice(4))).toBe(false)
    expect(isOwnId('')).toBe(false)
  })

  test('of another process are foreign', async () => {
    const url: string = '../../../protocol/ids.ts?copy'
    const copy: { newCallId: typeof newCallId } = await import(/* @vite-ignore */ url)
    expect(isOwnId(copy.newCallId())).toBe(false)
  })

  test.each([
    ['a', true],
    ['order-17_b.2', true],
    ['x'.repeat(64), true],
    ['x'.repeat(65), false],
    ['', false],
    ['123', false],
    ['a b', false],
    ['a\n', false],
    ['a/b', false],
    ['ä', false],
  ])('%j as an id from anywhere: %s', (id, isValid) => {
    expect(isValidId(id)).toBe(isValid)
  })
})

test('the clock of a machine has a name', () => {
  expect(HOST_ID).toMatch(/^[0-9a-f]{16}$/)
})

describe('queue names', () => {
  test.each([
    ['1.4.2', 'v1'],
    ['0.3.1', 'v0-3'],
    ['0.0.0', 'v0-0'],
    ['12.0.0', 'v12'],
    ['2.0.0-beta.1', 'v2'],
    ['2.0.0+build.5', 'v2'],
    ['01.2.3', undefined],
    ['0.01.3', undefined],
    ['1.2', undefined],
    ['1', undefined],
    ['v1.2.3', undefined],
    ['1.2.3-', undefined],
    ['1.2.3 ', undefined],
    ['1.2.3\n', undefined],
    ['1.2.x', undefined],
    ['1234567.0.0', undefined],
    ['', undefined],
  ])('version %j is %j', (version, major) => {
    expect(majorOf(version)).toBe(major)
  })

  test('are made of namespace, group, service and major', () => {
    const features = { keyed: false, priority: false, frames: false }
    const name = queueName('replyto', { group: 'gpu', service: 'images', major: 'v0-3', features })
    expect(name).toBe('replyto.q.gpu.images.v0-3')
    expect(cancelTopic(name)).toBe('cancel.replyto.q.gpu.images.v0-3')
    expect(helloTopic(name)).toBe('hello.replyto.q.gpu.images.v0-3')
  })

  test.each(['a', 'images', 'image-store-2', 'x'.repeat(40)])('%j is a name', (name) => {
    expect(nameProblem(name)).toBeUndefined()
  })

  test.each([
    [''],
    ['Images'],
    ['2images'],
    ['-a'],
    ['a.b'],
    ['a_b'],
    ['a b'],
    ['a\n'],
    ['ä'],
    ['a*'],
    ['x'.repeat(41)],
    ['x'.repeat(10_000)],
    [undefined],
    [null],
    [7],
    [['a']],
  ])('%.20j is refused with a sentence', (name) => {
    const problem = nameProblem(name)
    expect(problem).toMatch(/^must be 1 to 40 of a-z, 0-9 and '-', beginning with a letter; got /)
    expect(problem?.length).toBeLessThan(200)
  })

  test.each(['resize', 'Resize', '_private', 'a1', 'toString', 'x'.repeat(64)])('%j is a method', (name) => {
    expect(methodNameProblem(name)).toBeUndefined()
  })

  test.each([
    ['then', 'which JavaScript gives a meaning of its own'],
    ['constructor', 'which JavaScript gives a meaning of its own'],
    ['__proto__', 'which JavaScript gives a meaning of its own'],
    ['', "must be 1 to 64 of A-Z, a-z, 0-9 and '_'"],
    ['1a', 'not beginning with a digit'],
    ['a-b', 'got "a-b"'],
    ['a.b', 'got "a.b"'],
    ['x'.repeat(65), 'must be 1 to 64'],
  ])('%j is refused as a method', (name, problem) => {
    expect(methodNameProblem(name)).toContain(problem)
  })
})

test('versions are compared by number, part by part', () => {
  expect(isOlderVersion('1.2.0', '1.10.0')).toBe(true)
  expect(isOlderVersion('1.2.3', '1.2.10')).toBe(true)
  expect(isOlderVersion('1.10.0', '1.2.9')).toBe(false)
  expect(isOlderVersion('1.2.0', '1.2.0')).toBe(false)
  expect(isOlderVersion('1.2.0-beta', '1.2.0')).toBe(false)
  for (const nonsense of ['', '2', 'x', '1.2', '01.2.3', '9'.repeat(50)])
    expect(isOlderVersion('1.2.0', nonsense)).toBe(false)
})
