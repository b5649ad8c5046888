import { BUILD, FORMAT, LINT, PACKAGE, runSteps, UNUSED, vitestStep } from './steps.ts'

// `npm run check`: the contributor's loop, at most a minute: everything but the tests that start processes.

const results = await runSteps([FORMAT, LINT, BUILD, UNUSED, PACKAGE, vitestStep('--project', 'unit')])
const seconds = results.reduce((sum, result) => sum + result.seconds, 0)
const isOk = results.every((result) => result.isOk)
console.log(`\n${isOk ? 'all is well' : 'not yet'}: ${seconds.toFixed(0)} s`)
process.exitCode = isOk ? 0 : 1
