import { BUILD, runSteps, vitestStep } from './steps.ts'

// `npm run test:sweep`: the hub's hard cases in full length, which `npm test` runs in short.

process.env['REPLYTO_SWEEP'] = 'full'
const results = await runSteps([BUILD, vitestStep('--project', 'processes', '--no-file-parallelism', 'test/sweep')])
const seconds = results.reduce((sum, result) => sum + result.seconds, 0)
const isOk = results.every((result) => result.isOk)
console.log(`\n${isOk ? 'nothing was lost' : 'not yet'}: ${(seconds / 60).toFixed(1)} min`)
process.exitCode = isOk ? 0 : 1
