import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync, statfsSync } from 'node:fs'

/** Enough to say later whether this very process still lives; empty strings where the system does not tell. */
export interface ProcessIdentity {
  readonly pid: number
  /** In the system's own unit: tells a process from a later one with the same id. */
  readonly startTime: string
  readonly pidNamespace: string
  readonly bootId: string
  readonly machineId: string
}

/** statfs types of file systems that other machines may have mounted too (linux/magic.h). */
const NETWORK_FILE_SYSTEMS = new Map([
  [0x6969, 'NFS'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB'],
  [0x517b, 'SMB'],
  [0x01021997, '9P'],
  [0x5346414f, 'AFS'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
  [0x7461636f, 'OCFS2'],
])

let known: ProcessIdentity | undefined

export function thisProcess(): ProcessIdentity {
  known ??= {
    pid: process.pid,
    startTime: statOf(process.pid)?.startTime ?? '',
    pidNamespace: attempt(() => readlinkSync('/proc/self/ns/pid')),
    bootId: attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')) || sysctl('kern.bootsessionuuid'),
    machineId: attempt(() => readFileSync('/etc/machine-id', 'utf8')) || sysctl('kern.uuid'),
  }
  return known
}

/** True only where it is certain: the process is gone or a zombie, or the machine was started anew since. */
export function isProvablyDead(other: ProcessIdentity): boolean {
  const own = thisProcess()
  if (other.bootId !== own.bootId) return other.bootId !== '' && isSameMachine(other)
  if (other.bootId === '' || other.pidNamespace !== own.pidNamespace) return false
  if (process.platform !== 'linux') return !canSignal(other.pid)
  const stat = statOf(other.pid)
  return stat === undefined || stat.state === 'Z' || stat.state === 'X' || stat.startTime !== other.startTime
}

/** True only where it is certain, but for a process that was stopped or hangs: it is alive as well. */
export function isProvablyAlive(other: ProcessIdentity): boolean {
  const own = thisProcess()
  if (own.bootId === '' || other.bootId !== own.bootId || other.pidNamespace !== own.pidNamespace) return false
  return !isProvablyDead(other)
}

/** The same boot id, or the same machine id after a reboot. */
export function isSameMachine(other: ProcessIdentity): boolean {
  const own = thisProcess()
  if (own.bootId !== '' && own.bootId === other.bootId) return true
  return own.machineId !== '' && own.machineId === other.machineId
}

/** The name of the network file system that holds the directory; undefined: it is a local one. */
export function networkFileSystem(dir: string): string | undefined {
  return process.platform === 'linux' ? NETWORK_FILE_SYSTEMS.get(statfsSync(dir).type >>> 0) : undefined
}

function statOf(pid: number): { readonly state: string; readonly startTime: string } | undefined {
  const text = attempt(() => readFileSync(`/proc/${pid}/stat`, 'latin1'))
  if (text === '') return undefined
  // The command's name is in parentheses and may hold anything; the fields after it are plain (proc(5): 3 state, 22 starttime).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '', startTime: fields[19] ?? '' }
}

function canSignal(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}

function sysctl(name: string): string {
  if (process.platform !== 'darwin') return ''
  return attempt(() => execFileSync('sysctl', ['-n', name], { encoding: 'utf8' }))
}

/** What a file or program says, trimmed; an empty string where it is not there, which callers treat as "unknown". */
function attempt(read: () => string): string {
  try {
    return read().trim()
  } catch {
    return ''
  }
}
