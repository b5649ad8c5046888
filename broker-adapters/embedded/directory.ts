import { accessSync, constants, mkdirSync, statSync } from 'node:fs'
import { BrokerError, messageOf } from '../../protocol/errors.ts'
import { FORMAT, type HubRecord } from './election.ts'
import { networkFileSystem } from './machine.ts'

/** Made if it is missing; refused where the election or the store could not be relied on. */
export function prepareDirectory(dir: string): void {
  if (process.platform === 'win32')
    throw refusal('the embedded broker runs on Linux and macOS; on Windows it is not tested yet')
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw refusal(`the directory ${dir} cannot be used (${messageOf(error)}); give one that this user may write to`)
  }
  const owner = statSync(dir).uid
  const user = process.geteuid?.()
  if (user !== undefined && owner !== user)
    throw refusal(`${dir} belongs to user ${owner}, and this process runs as user ${user}: run all as the same user`)
  const network = networkFileSystem(dir)
  if (network !== undefined)
    throw refusal(`${dir} is on a network file system (${network}); the embedded broker needs a local disk`)
}

/** Refuses what a version of the library with another format made. */
export function checkRecord(record: HubRecord, dir: string): void {
  checkFormat(dir, record.format)
}

export function checkFormat(what: string, format: number): void {
  if (format === FORMAT) return
  const [age, advice] =
    format > FORMAT
      ? ['a newer', 'update it here']
      : ['an older', 'let that version work it off, then give another directory or remove this one']
  throw refusal(
    `${what} was written by ${age} version of the library (format ${format}, this one knows ${FORMAT}): ${advice}`,
  )
}

/** What dialling again cannot mend. */
export function refusal(text: string): BrokerError {
  return new BrokerError('BROKER_REFUSED', text)
}
