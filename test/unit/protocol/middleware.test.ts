import { describe, expect, test } from 'vitest'
import { callScope, type CallScope } from '../../../protocol/call-scope.ts'
import { createCounters } from '../../../protocol/counters.ts'
import { isFinalReply, type ReplyType } from '../../../protocol/message.ts'
import { runMiddleware, type Middleware, type MiddlewareCall } from '../../../protocol/middleware.ts'

function createCall(): MiddlewareCall {
  return {
    side: 'client',
    kind: 'call',
    service: 'images',
    method: 'resize',
    group: 'default',
    id: 'c-1',
    attempt: 1,
    deadline: undefined,
    input: 1,
    headers: new Map(),
    state: new Map(),
  }
}

describe('middleware', () => {
  test('the first in the list is the outermost', async () => {
    const order: string[] = []
    const layer =
      (name: string): Middleware =>
      async (_call, next) => {
        order.push(`${name} in`)
        const output = await next()
        order.push(`${name} out`)
        return `${name}(${String(output)})`
      }
    const output = await runMiddleware([layer('a'), layer('b')], createCall(), async () => {
      order.push('core')
      return 'x'
    })
    expect(order).toEqual(['a in', 'b in', 'core', 'b out', 'a out'])
    expect(output).toBe('a(b(x))')
  })

  test('none runs the core', async () => {
    expect(await runMiddleware([], createCall(), async () => 5)).toBe(5)
  })

  test('may answer without calling next', async () => {
    let ran = false
    const output = await runMiddleware([async () => 'cached'], createCall(), async () => (ran = true))
    expect(output).toBe('cached')
    expect(ran).toBe(false)
  })

  test('may change input, headers and state for those behind it', async () => {
    const call = createCall()
    const first: Middleware = (call, next) => {
      call.input = 2
      call.headers.set('tenant', 'a')
      call.state.set('user', 7)
      return next()
    }
    const seen = await runMiddleware([first], call, async () => [
      call.input,
      call.headers.get('tenant'),
      call.state.get('user'),
    ])
    expect(seen).toEqual([2, 'a', 7])
  })

  test('sees what the core rejects with', async () => {
    const rescue: Middleware = (_call, next) => next().catch((error: Error) => `rescued ${error.message}`)
    expect(await runMiddleware([rescue], createCall(), () => Promise.reject(new Error('x')))).toBe('rescued x')
  })

  test('that calls next twice gets CONFIG, and nothing runs twice', async () => {
    let runs = 0
    const again: Middleware = async (_call, next) => {
      await next()
      return next()
    }
    const running = runMiddleware([again], createCall(), async () => runs++)
    await expect(running).rejects.toThrow('[CONFIG] a middleware called next() twice')
    expect(runs).toBe(1)
  })

  test('that throws before it gives its promise rejects', async () => {
    const broken: Middleware = () => {
      throw new Error('broken')
    }
    const outer: Middleware = (_call, next) => next().catch(() => 'caught by the outer one')
    await expect(runMiddleware([broken], createCall(), async () => 1)).rejects.toThrow('broken')
    expect(await runMiddleware([outer, broken], createCall(), async () => 1)).toBe('caught by the outer one')
  })
})

test('counters appear once counted', () => {
  const counters = createCounters()
  expect(counters.counts).toEqual({})
  counters.add('calls')
  counters.add('calls', 4)
  counters.add('lateReplies')
  expect(counters.counts).toEqual({ calls: 5, lateReplies: 1 })
})

test('the scope of a handler follows it through its awaits and ends with it', async () => {
  const scope: CallScope = {
    deadline: 5,
    depth: 1,
    queue: 'q',
    isPoolFull: () => false,
    signal: AbortSignal.abort(),
  }
  const inside = await callScope.run(scope, async () => {
    await new Promise(setImmediate)
    return callScope.getStore()
  })
  expect(inside).toBe(scope)
  expect(callScope.getStore()).toBeUndefined()
})

test('result, error and end are final', () => {
  const types: ReplyType[] = ['result', 'error', 'end', 'progress', 'chunk']
  expect(types.filter(isFinalReply)).toEqual(['result', 'error', 'end'])
})
