import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname, uptime } from 'node:os'

/**
 * Names the clock of this machine: equal for all processes of one boot, so that their deadlines compare without tolerance.
 * Linux has a boot id; elsewhere the host name and the hour of boot must do.
 */
export const HOST_ID: string = createHash('sha256').update(bootId()).digest('hex').slice(0, 16)

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    const bootHour = Math.round((Date.now() / 1000 - uptime()) / 3600) // no boot id on this system
    return `${hostname()} ${bootHour}`
  }
}
