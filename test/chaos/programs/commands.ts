import { createInterface } from 'node:readline'

export type Commands = Readonly<Record<string, () => void | Promise<void>>>

/** Does what the test says on stdin, one word a line, until the function it returns is called. */
export function listen(commands: Commands): () => void {
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => void commands[line]?.())
  return () => {
    lines.close()
    process.stdin.destroy() // whatever else keeps the process is a defect
  }
}

export function say(what: string, facts?: object): void {
  console.log(facts === undefined ? what : `${what} ${JSON.stringify(facts)}`)
}
