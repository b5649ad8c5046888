import { createWorker } from 'replyto'
import { analyse, unreadableReason } from './analyse.ts'
import { fileFigures } from './contract.ts'
import { openLedger } from './ledger.ts'

// One of the worker processes. Started by the demo's main process as `worker.js <broker> <group> <name> <ledger>`.

const [broker, group, name, ledgerPath] = process.argv.slice(2)
if (broker === undefined || group === undefined || name === undefined || ledgerPath === undefined)
  throw new Error('usage: worker.js <broker> <group> <name> <ledger>')

process.on('disconnect', () => process.exit()) // the main process is gone: nobody wants results any more

const ledger = openLedger(ledgerPath)
const worker = createWorker(broker, { group, name, concurrency: 8 })
worker.serve(fileFigures, {
  async analyse({ path }, ctx) {
    ledger.begun(ctx.callId)
    try {
      return { ...(await analyse(path)), worker: name }
    } catch (error) {
      throw ctx.fail('UNREADABLE', { path, reason: unreadableReason(error) })
    } finally {
      ledger.ended(ctx.callId)
    }
  },
})

const ended = worker.run() // drains on SIGTERM
await worker.start()
process.send?.('ready')
await ended
process.disconnect()
