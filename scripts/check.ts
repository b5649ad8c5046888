import { BUILD, FORMAT, LINT, PACKAGE, runStages, UNUSED, vitestStep } from './steps.ts'

// `npm run check`: the contributor's loop, at most a minute: everything but the tests that start processes.

const started = performance.now()
const results = await runStages([BUILD], [FORMAT, LINT, UNUSED, PACKAGE], [vitestStep('--project', 'unit')])
const seconds = (performance.now() - started) / 1000
const isOk = results.every((result) => result.isOk)
console.log(`\n${isOk ? 'all is well' : 'not yet'}: ${seconds.toFixed(0)} s`)
process.exitCode = isOk ? 0 : 1
