import { spawnSync } from 'node:child_process'
import { installPackages } from './packages.ts'

/** The second is Debian's own, for which the package is; the first may be another one. */
const PYTHONS = ['python3', '/usr/bin/python3']

/** A Python that has pika, the AMQP library of the examples; throws with a sentence that says what to do. */
export function findPython({ mayInstall }: { readonly mayInstall: boolean }): string {
  const found = pythonWithPika()
  if (found !== undefined) return found
  const what = 'pika, the AMQP library of examples/python,'
  installPackages(['python3-pika'], {
    mayInstall,
    what,
    otherwise: "or 'pip install pika' in an environment of your own",
  })
  const installed = pythonWithPika()
  if (installed === undefined) throw new Error('python3-pika is installed, but no python3 can import pika')
  return installed
}

function pythonWithPika(): string | undefined {
  return PYTHONS.find(
    (python) => spawnSync(python, ['-c', 'import pika'], { stdio: 'ignore', timeout: 30_000 }).status === 0,
  )
}
