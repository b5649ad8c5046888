import { writeFileSync } from 'node:fs'
import { apiText } from './api-text.ts'
import { BUILD, runSteps } from './steps.ts'

// `npm run api`: writes docs/api.md from the declarations of the package.

const results = await runSteps([BUILD])
if (results.every(({ isOk }) => isOk)) writeFileSync('docs/api.md', apiText('package.json', 'dist'))
else process.exitCode = 1
