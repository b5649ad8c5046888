import { randomBytes } from 'node:crypto'
import { expect, inject, onTestFinished, test } from 'vitest'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { allOf, eventually } from '../support/eventually.ts'
import { small } from './targets.ts'

const { url = '', whyNot } = inject('kafka')
const notes = defineService('notes', {
  methods: { note: method({ input: type<string>(), oneWay: true, retry: { attempts: 1 } }) },
})

const LETTERS = 4
const ROUNDS = 25

test.skipIf(whyNot !== undefined)(
  'letters that are replayed and come back at once are there again, each time; what two replay at a time goes once',
  async () => {
    const options = { namespace: `l${randomBytes(5).toString('hex')}`, log: () => {} }
    const target = small(url, { sessionMs: 6_000 })
    const client = createClient(target, options)
    let runs = 0
    const worker = createWorker(target, options).serve(notes, {
      note() {
        runs++
        throw new Error('no')
      },
    })
    onTestFinished(async () => {
      await Promise.all([client, worker].map((one) => one.close({ graceMs: 0 })))
    })
    await worker.start()
    const { note } = client.service(notes)
    await Promise.all(Array.from({ length: LETTERS }, (_, index) => note.send(`n${index}`)))
    const { deadLetters } = client.queue(notes)
    for (let round = 1; round <= ROUNDS; round++) {
      await eventually(async () => (await allOf(deadLetters.list())).length === LETTERS, { what: `round ${round}` })
      expect(runs).toBe(round * LETTERS)
      const counts = await Promise.all([deadLetters.replay({}), deadLetters.replay({})])
      expect(counts.reduce((sum, { count }) => sum + count, 0)).toBe(LETTERS)
      await eventually(() => runs === (round + 1) * LETTERS, { what: `all run again, round ${round}` })
    }
  },
  40_000,
)
