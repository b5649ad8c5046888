import { expect } from 'vitest'
import { claimsOf } from '../case.ts'
import { eventually } from '../../support/eventually.ts'

const { cases, claim } = claimsOf('seam broadcast')
export const broadcast = cases

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (body: Uint8Array): string => new TextDecoder().decode(body)

claim('every listener hears it, the one who says it too; other topics do not', async (t) => {
  const [one, other] = [await t.adapter(), await t.adapter()]
  const heard: string[] = []
  await one.onBroadcast('news', (body) => heard.push(`one ${textOf(body)}`))
  await other.onBroadcast('news', (body) => heard.push(`other ${textOf(body)}`))
  await other.onBroadcast('weather', (body) => heard.push(`weather ${textOf(body)}`))
  one.broadcast('news', bytes('first'))
  await eventually(() => heard.length >= 2)
  one.broadcast('weather', bytes('rain'))
  await eventually(() => heard.length >= 3)
  expect(heard.toSorted()).toEqual(['one first', 'other first', 'weather rain'])
})

claim('a body of any bytes arrives as it was sent', async (t) => {
  const [one, other] = [await t.adapter(), await t.adapter()]
  const bodies: number[][] = []
  await other.onBroadcast('bytes', (body) => bodies.push([...body]))
  const all = Array.from({ length: 256 }, (_, byte) => byte)
  one.broadcast('bytes', Uint8Array.from(all))
  one.broadcast('bytes', new Uint8Array(0))
  await eventually(() => bodies.length === 2)
  expect(bodies).toEqual([all, []])
})

claim('who has left hears nothing more', async (t) => {
  const adapter = await t.adapter()
  const heard: string[] = []
  const leave = await adapter.onBroadcast('news', (body) => heard.push(`left ${textOf(body)}`))
  await adapter.onBroadcast('news', (body) => heard.push(`stayed ${textOf(body)}`))
  leave()
  adapter.broadcast('news', bytes('x'))
  await eventually(() => heard.length > 0)
  adapter.broadcast('news', bytes('y'))
  await eventually(() => heard.includes('stayed y'))
  expect(heard).toEqual(['stayed x', 'stayed y'])
})

claim('nobody listens: nothing happens', async (t) => {
  const adapter = await t.adapter()
  adapter.broadcast('empty', bytes('x'))
  await adapter.stop()
  adapter.broadcast('empty', bytes('y'))
  expect(adapter.states).toContain('up')
})

claim('other namespaces do not hear it', async (t) => {
  const adapter = await t.adapter()
  const foreign = await t.adapter({ namespace: `${t.namespace}x` })
  const heard: string[] = []
  await foreign.onBroadcast('news', (body) => heard.push(`foreign ${textOf(body)}`))
  await adapter.onBroadcast('news', (body) => heard.push(`own ${textOf(body)}`))
  adapter.broadcast('news', bytes('secret'))
  await eventually(() => heard.includes('own secret'))
  foreign.broadcast('news', bytes('other'))
  await eventually(() => heard.includes('foreign other'))
  expect(heard).toEqual(['own secret', 'foreign other'])
})
