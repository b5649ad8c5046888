import type { Place } from './wire.ts'

// Who of a group has which partitions. Each member says what it has and how much of it is at work; the one that leads decides. Kafka's own ways
// move partitions about at each change, and what is at work there is run again. Here a partition moves only when nothing of it is at work:
// who has too many of them is asked to let some run dry first.

/**
 * `active`: it takes what it gets. `full`: it takes nothing at the moment, as it is paused or all that it may hold is at work. `stopping`: it
 * takes nothing any more, and leaves when what it holds is settled.
 */
export type MemberMode = 'active' | 'full' | 'stopping'

/** What a member says of itself. */
export interface MemberFacts {
  readonly topics: readonly string[]
  /** Of when it got what it has; of two that have the same the later one is right. */
  readonly generation: number
  readonly owned: readonly OwnedPlace[]
  readonly mode: MemberMode
}

export interface OwnedPlace extends Place {
  /** Deliveries that are not settled. */
  readonly held: number
  /** What lies in it is for others, if there are any. */
  readonly isForOthers: boolean
}

export interface Member extends MemberFacts {
  readonly memberId: string
}

/** What a member gets. */
export interface Part {
  readonly places: readonly Place[]
  /** Of these nothing more is to be handed out, so that they can move. */
  readonly drying: readonly Place[]
}

interface Share {
  readonly places: Place[]
  readonly drying: Place[]
}

/** @param partitions of each topic. What belongs to nobody waits until somebody takes it. */
export function assign(members: readonly Member[], partitions: ReadonlyMap<string, number>): ReadonlyMap<string, Part> {
  const sorted = members.toSorted((one, other) => (one.memberId < other.memberId ? -1 : 1))
  const shares = new Map<string, Share>(sorted.map(({ memberId }) => [memberId, { places: [], drying: [] }]))
  for (const [topic, count] of partitions) assignTopic({ topic, count, members: sorted, shares })
  return shares
}

interface TopicParts {
  readonly topic: string
  readonly count: number
  readonly members: readonly Member[]
  readonly shares: ReadonlyMap<string, Share>
}

interface Hand {
  readonly share: Share
  readonly owned: OwnedPlace[]
  /** How many it should have. */
  wanted: number
}

function assignTopic({ topic, count, members, shares }: TopicParts): void {
  const owners = ownersOf(topic, count, members)
  const hands = new Map<Member, Hand>(
    takersOf(topic, members).flatMap((member) => {
      const share = shares.get(member.memberId)
      return share === undefined ? [] : [[member, { share, owned: [], wanted: 0 }] as const]
    }),
  )
  const free: { readonly partition: number; readonly not: Hand | undefined }[] = []
  for (let partition = 0; partition < count; partition++) {
    const { member, place } = owners.get(partition) ?? {}
    const hand = member === undefined ? undefined : hands.get(member)
    if (member === undefined || place === undefined) free.push({ partition, not: undefined })
    else if (place.held === 0 && (hand === undefined || place.isForOthers)) free.push({ partition, not: hand })
    else if (hand === undefined) shares.get(member.memberId)?.places.push({ topic, partition })
    else hand.owned.push(place)
  }
  if (hands.size === 0) return
  setWanted([...hands.values()], free.length)
  for (const hand of hands.values())
    for (const place of letGo(hand)) free.push({ partition: place.partition, not: undefined })
  for (const { partition, not } of free) {
    const taker = neediest([...hands.values()], not)
    taker.owned.push({ topic, partition, held: 0, isForOthers: false })
  }
  for (const { share, owned } of hands.values())
    for (const { partition } of owned) share.places.push({ topic, partition })
}

/** If all are full, all take: somebody will be free again. */
function takersOf(topic: string, members: readonly Member[]): readonly Member[] {
  const staying = members.filter(({ mode, topics }) => mode !== 'stopping' && topics.includes(topic))
  const active = staying.filter(({ mode }) => mode === 'active')
  return active.length > 0 ? active : staying
}

interface Owner {
  readonly member: Member
  readonly place: OwnedPlace
}

function ownersOf(topic: string, count: number, members: readonly Member[]): ReadonlyMap<number, Owner> {
  const owners = new Map<number, Owner>()
  for (const member of members)
    for (const place of member.owned) {
      if (place.topic !== topic || place.partition >= count) continue
      const other = owners.get(place.partition)
      if (other === undefined || other.member.generation < member.generation)
        owners.set(place.partition, { member, place })
    }
  return owners
}

/** Everybody as many as the others, or one more; those that have most keep the odd ones. */
function setWanted(hands: readonly Hand[], free: number): void {
  const total = free + hands.reduce((sum, { owned }) => sum + owned.length, 0)
  const least = Math.floor(total / hands.length)
  let odd = total % hands.length
  for (const hand of hands.toSorted((one, other) => other.owned.length - one.owned.length))
    hand.wanted = odd-- > 0 ? least + 1 : least
}

/** What one has too many of: what is idle goes now, what is at work is to run dry. */
function letGo({ owned, wanted, share }: Hand): readonly OwnedPlace[] {
  const surplus = owned.length - wanted
  const forOthers = owned.filter(({ isForOthers }) => isForOthers)
  const idle = owned.filter(({ held }) => held === 0)
  const gone = idle.slice(0, Math.max(0, surplus))
  for (const place of gone) owned.splice(owned.indexOf(place), 1)
  const busy = owned.filter(({ held, isForOthers }) => held > 0 && !isForOthers)
  busy.sort((one, other) => one.held - other.held || one.partition - other.partition)
  share.drying.push(...forOthers, ...busy.slice(0, Math.max(0, surplus - gone.length - forOthers.length)))
  return gone
}

function neediest(hands: readonly Hand[], not: Hand | undefined): Hand {
  const others = hands.filter((hand) => hand !== not)
  const [first, ...rest] = others.length > 0 ? others : hands
  if (first === undefined) throw new Error('there is somebody')
  return rest.reduce((best, hand) => (needOf(hand) > needOf(best) ? hand : best), first)
}

function needOf({ wanted, owned }: Hand): number {
  return wanted - owned.length
}
