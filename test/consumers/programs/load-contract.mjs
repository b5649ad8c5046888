// Loads the contract's entry alone and prints which native libraries the process has then.
import { defineService, method, type } from 'replyto/contract'

const before = defineService('alone', { methods: { ping: method({ input: type() }) } })
const { sharedObjects } = process.report.getReport()
console.log(JSON.stringify({ name: before.name, native: sharedObjects.filter((file) => file.endsWith('.node')) }))
