import { messageOf } from '../../protocol/errors.ts'
import { assign, type MemberFacts, type Part } from './assigner.ts'
import { isDenied, nameOfError } from './failures.ts'
import { PROTOCOL, readFacts, readPart, writeFacts, writePart } from './member-protocol.ts'
import type { GroupWire, Joined } from './wire.ts'

export interface MemberId {
  readonly memberId: string
  readonly generation: number
}

/** Being a member of a group: joined, heard of, and asked to share anew when others come or go. */
export interface Membership {
  /** Resolves when this member has its part for the first time; rejects if it may not be one. */
  readonly joined: Promise<void>
  /** As the group knows it; '' before it has joined. */
  readonly id: string
  /** Undefined: it is none now, or has been silent for so long that others may have its part. */
  current(): MemberId | undefined
  /** What this member says of itself has changed: the group is to share anew. */
  rejoin(): void
  /** Others may share anew: it is asked at once. */
  nudge(): void
  /** Ends it; the others get its part at once. Never rejects. */
  leave(): Promise<void>
  /** Ends it here alone, as the connection is gone. */
  abandon(): void
}

interface MembershipOptions {
  readonly group: GroupWire
  readonly sessionMs: number
  /** Of the connection before: a group that still knows it does not wait until that one is taken for gone. */
  readonly formerId?: string | undefined
  readonly introduce: () => MemberFacts
  /** How many partitions each of these topics has. */
  readonly partitionsOf: (topics: readonly string[]) => Promise<ReadonlyMap<string, number>>
  /** From now on exactly this is its part. */
  readonly onPart: (part: Part, generation: number) => void
  /** This member leads and has shared out: so many members, and partitions of the topic that has the most. */
  readonly onShared?: ((members: number, partitions: number) => void) | undefined
  /** Somebody else may have everything. */
  readonly onLost: () => void
  /** What others are to know who get a part of it. Never rejects. */
  readonly beforeSharing: () => Promise<void>
  readonly onTrouble: (reason: string) => void
}

const AGAIN_MS = 200
/** Others who said that they come or go may not have done it yet. */
const HURRIES_MS = 400
const HURRY_MS = 40

export function heartbeatMsOf(sessionMs: number): number {
  return Math.min(3_000, Math.max(200, Math.floor(sessionMs / 10)))
}

export function createMembership(options: MembershipOptions): Membership {
  const { group, sessionMs, introduce, partitionsOf, onPart, onLost, beforeSharing, onTrouble } = options
  const { onShared = () => {} } = options
  const heartbeatMs = heartbeatMsOf(sessionMs)
  /** Who has not heard of sharing anew for so long is as good as gone. */
  const timing = { sessionMs, rebalanceMs: sessionMs }
  let memberId = options.formerId ?? ''
  let member: MemberId | undefined
  let heardAt = 0
  let hurryUntil = 0
  let isOver = false
  let wantsToShare = false
  let wake: () => void = () => {}
  let resolve: () => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const joined = new Promise<void>((onJoined, onRefused) => {
    resolve = onJoined
    reject = onRefused
  })
  const done = run()

  async function run(): Promise<void> {
    while (!isOver) {
      try {
        await share()
        resolve()
        await stay()
      } catch (error) {
        if (!(await goOnAfter(error))) return
      }
    }
  }

  async function share(): Promise<void> {
    wantsToShare = false
    const answer = await group.join(memberId, { name: PROTOCOL, metadata: writeFacts(introduce()) }, timing)
    memberId = answer.memberId
    const parts = answer.members === undefined ? [] : await partsOf(answer.members)
    const now = { memberId, generation: answer.generation }
    const part = readPart(await group.sync(now, parts))
    if (isOver) return
    member = now
    heardAt = performance.now()
    onPart(part, now.generation)
  }
  async function partsOf(
    members: NonNullable<Joined['members']>,
  ): Promise<readonly { readonly memberId: string; readonly assignment: Buffer }[]> {
    const all = members.map(({ memberId: id, metadata }) => ({ memberId: id, ...readFacts(metadata) }))
    const topics = [...new Set(all.flatMap((one) => one.topics))]
    const counts = await partitionsOf(topics)
    const parts = assign(all, counts)
    onShared(members.length, Math.max(0, ...counts.values()))
    return Array.from(parts, ([id, part]) => ({ memberId: id, assignment: writePart(part) }))
  }

  /** Until the group shares anew. Rejects with what ends the membership, or hides it. */
  async function stay(): Promise<void> {
    while (!isOver) {
      if (!wantsToShare) await pause(performance.now() < hurryUntil ? HURRY_MS : heartbeatMs)
      if (isOver) return
      if (wantsToShare) return beforeSharing()
      const now = member
      if (now === undefined) return
      try {
        await group.heartbeat(now)
        heardAt = performance.now()
      } catch (error) {
        if (nameOfError(error) === 'REBALANCE_IN_PROGRESS') return beforeSharing()
        if (isOutcast(error)) throw error
        if (performance.now() - heardAt > sessionMs) lose()
        await pause(AGAIN_MS)
      }
    }
  }

  /** False: it is over. */
  async function goOnAfter(error: unknown): Promise<boolean> {
    const name = nameOfError(error)
    if (isOver) return false
    if (name === 'REBALANCE_IN_PROGRESS') return true
    if (isDenied(name) || name === 'INVALID_SESSION_TIMEOUT' || name === 'INCONSISTENT_GROUP_PROTOCOL') {
      reject(error)
      onTrouble(`${messageOf(error)} (${name})`)
    } else if (isOutcast(error)) {
      lose()
      if (name !== 'ILLEGAL_GENERATION') memberId = ''
      return true
    } else if (performance.now() - heardAt > sessionMs) lose()
    await pause(AGAIN_MS)
    return !isOver
  }

  function lose(): void {
    if (member === undefined) return
    member = undefined
    onLost()
  }

  function pause(ms: number): Promise<void> {
    return new Promise((onTime) => {
      const timer = setTimeout(onTime, ms)
      wake = () => {
        clearTimeout(timer)
        onTime()
      }
    })
  }

  function end(): void {
    isOver = true
    wake()
    reject(new Error('the consumer was ended'))
    joined.catch(() => {}) // whoever waited has been told
  }

  joined.catch(() => {}) // told by whoever waits for it
  return {
    joined,
    get id() {
      return memberId
    },
    current: () => (performance.now() - heardAt > sessionMs ? undefined : member),
    rejoin() {
      wantsToShare = true
      wake()
    },
    nudge() {
      hurryUntil = performance.now() + HURRIES_MS
      wake()
    },
    async leave() {
      end()
      const id = memberId
      if (id !== '') await group.leave(id).catch(() => {}) // else its session ends
      void done
    },
    abandon: end,
  }
}

/** It is no member any more, or its part is of a time that is over. */
function isOutcast(error: unknown): boolean {
  return /^(?:UNKNOWN_MEMBER_ID|ILLEGAL_GENERATION|FENCED_INSTANCE_ID)$/.test(nameOfError(error))
}
