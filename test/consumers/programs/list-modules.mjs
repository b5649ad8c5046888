// `node --import ./list-modules.mjs`: writes every module that is resolved from then on to the file MODULES, one URL a line.
import { register } from 'node:module'

const hooks = `
  import { appendFileSync } from 'node:fs'
  export async function resolve(specifier, context, next) {
    const found = await next(specifier, context)
    appendFileSync(process.env.MODULES, found.url + '\\n')
    return found
  }`
register(`data:text/javascript,${encodeURIComponent(hooks)}`)
