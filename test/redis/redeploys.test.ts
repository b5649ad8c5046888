import { inject } from 'vitest'
import { describeRedeploys } from '../support/redeploys.ts'

describeRedeploys(inject('redis'))
