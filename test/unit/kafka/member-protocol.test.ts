import { AssignerProtocol } from 'kafkajs'
import { expect, test } from 'vitest'
import type { MemberFacts, Part } from '../../../broker-adapters/kafka/assigner.ts'
import { PROTOCOL, readFacts, readPart, writeFacts, writePart } from '../../../broker-adapters/kafka/member-protocol.ts'

const { MemberAssignment, MemberMetadata } = AssignerProtocol
const facts: MemberFacts = {
  topics: ['ns.q.default.jobs.v1', 'ns.q.default.jobs.v1.high'],
  generation: 7,
  owned: [{ topic: 'ns.q.default.jobs.v1', partition: 3, held: 2, isForOthers: false }],
  mode: 'stopping',
}
const NONE: Part = { places: [], drying: [] }
const part: Part = {
  places: [
    { topic: 'a', partition: 0 },
    { topic: 'b', partition: 258 },
    { topic: 'a', partition: 2 },
  ],
  drying: [{ topic: 'a', partition: 2 }],
}

test('what a member says of itself and what it gets come as they were written', () => {
  expect(readFacts(writeFacts(facts))).toEqual(facts)
  expect(readFacts(writeFacts({ ...facts, topics: [], owned: [] }))).toEqual({ ...facts, topics: [], owned: [] })
  const { places, drying } = readPart(writePart(part))
  expect(places).toHaveLength(part.places.length)
  expect(places).toEqual(expect.arrayContaining([...part.places]))
  expect(drying).toEqual(part.drying)
  expect(readPart(writePart(NONE))).toEqual(NONE)
  expect(readPart(Buffer.alloc(0))).toEqual(NONE) // of a member that got nothing
})

test('it is the form of the consumer protocol, version 0, and stays as it is', () => {
  expect(PROTOCOL).toBe('replyto-1')
  const written = writeFacts({ topics: ['ä'], generation: 1, owned: [], mode: 'active' })
  const json = '{"generation":1,"owned":[],"mode":"active"}'
  expect(written.subarray(0, 14).toString('hex')).toBe(
    ['0000', '00000001', '0002c3a4', '0000002b'].join(''), // version, topics, 'ä', length of the data
  )
  expect(written.subarray(14).toString()).toBe(json)
  const assigned = writePart({ ...part, drying: [] })
  expect(assigned.toString('hex')).toBe(
    [
      '0000', // version
      '00000002', // topics
      ['0001', '61', '00000002', '00000000', '00000002'].join(''), // 'a': 0, 2
      ['0001', '62', '00000001', '00000102'].join(''), // 'b': 258
      ['00000002', '5b5d'].join(''), // []
    ].join(''),
  )
})

test("Kafka's own tools can show it", () => {
  expect(MemberMetadata.decode(writeFacts(facts))).toMatchObject({ version: 0, topics: facts.topics })
  expect(MemberAssignment.decode(writePart(part))?.assignment).toEqual({ a: [0, 2], b: [258] })
})

test.each([
  ['nothing', Buffer.alloc(0)],
  ['too little', writeFacts(facts).subarray(0, 20)],
  ['no JSON', MemberMetadata.encode({ version: 0, topics: ['a'], userData: Buffer.from('x') })],
  ['no data', MemberMetadata.encode({ version: 0, topics: ['a'], userData: Buffer.alloc(0) })],
  ['a length beyond its end', Buffer.from('00007fffffff', 'hex')],
])('of a member that wrote %s it says so', (_, metadata) => {
  expect(() => readFacts(metadata)).toThrow(Error)
})
