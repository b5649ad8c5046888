import { isDenied, nameOfError } from './failures.ts'
import type { Node } from './library.ts'
import type { Nodes } from './nodes.ts'
import { groupByTopic, protocolError } from './places.ts'
import type { Committed, GroupWire, Joined, Place } from './wire.ts'

/** A consumer group as its coordinator has it. */
interface Group {
  readonly wire: GroupWire
  committed(places: readonly Place[]): Promise<readonly Committed[]>
  members(): Promise<number>
}

export function openGroup(nodes: Nodes, groupId: string): Group {
  const { library } = nodes
  let coordinator: number | undefined

  async function find(): Promise<Node> {
    if (coordinator === undefined) {
      const answer = await (await nodes.any()).findGroupCoordinator({ groupId, coordinatorType: GROUP })
      nodes.learn(answer.coordinator)
      coordinator = answer.coordinator.nodeId
    }
    return nodes.node(coordinator)
  }

  /** Whoever coordinates is asked for again once it says that it does no more, or cannot be reached. */
  async function ask<T>(work: (node: Node) => Promise<T>): Promise<T> {
    try {
      return await work(await find())
    } catch (error) {
      if (!/^(?:REBALANCE_IN_PROGRESS|ILLEGAL_GENERATION|UNKNOWN_MEMBER_ID)$/.test(nameOfError(error)))
        coordinator = undefined
      // The library does not say which one.
      if (isDenied(nameOfError(error))) throw protocolError(nameOfError(error), `group ${groupId}`)
      throw error
    }
  }

  const wire: GroupWire = {
    join: (memberId, protocol, { sessionMs, rebalanceMs }) =>
      ask(async (node): Promise<Joined> => {
        const answer = await node.joinGroup({
          groupId,
          memberId,
          sessionTimeout: sessionMs,
          rebalanceTimeout: rebalanceMs,
          protocolType: 'consumer',
          groupProtocols: [protocol],
        })
        const isLeader = answer.leaderId === answer.memberId
        return {
          memberId: answer.memberId,
          generation: answer.generationId,
          members: isLeader
            ? answer.members.map(({ memberId: id, memberMetadata }) => ({ memberId: id, metadata: memberMetadata }))
            : undefined,
        }
      }),
    sync: ({ memberId, generation }, parts) =>
      ask(async (node) => {
        const groupAssignment = parts.map(({ memberId: id, assignment }) => ({
          memberId: id,
          memberAssignment: assignment,
        }))
        const answer = await node.syncGroup({ groupId, generationId: generation, memberId, groupAssignment })
        return answer.memberAssignment
      }),
    heartbeat: ({ memberId, generation }) =>
      ask(async (node) => void (await node.heartbeat({ groupId, groupGenerationId: generation, memberId }))),
    leave: (memberId) => ask(async (node) => void (await node.leaveGroup({ groupId, memberId }))),
    commit: ({ memberId, generation }, offsets) =>
      ask(async (node) => {
        const answer = (await library.ask(node, 'OffsetCommit', {
          groupId,
          groupGenerationId: generation,
          memberId,
          topics: groupByTopic(offsets, ({ partition, offset, metadata }) => ({
            partition,
            offset: String(offset),
            metadata,
          })),
        })) as PartsAnswer<{ readonly errorCode: number }> // so the protocol says
        const errors = offsets.map((place) => library.errorName(partOf(answer, place)?.errorCode ?? 0))
        if (errors.some((error) => error === 'NOT_COORDINATOR_FOR_GROUP')) coordinator = undefined
        return errors
      }),
  }

  return {
    wire,
    committed: (places) =>
      ask(async (node) => {
        const topics = groupByTopic(places, ({ partition }) => ({ partition }))
        const answer = await library.ask(node, 'OffsetFetch', { groupId, topics })
        const found = answer as PartsAnswer<CommittedPart> & { readonly errorCode?: number } // so the protocol says
        const error = library.errorName(found.errorCode ?? 0)
        if (error !== undefined) throw protocolError(error, `group ${groupId}`)
        return places.map(({ topic, partition }) => {
          const part = partOf(found, { topic, partition })
          const failed = library.errorName(part?.errorCode ?? 0)
          if (failed !== undefined && failed !== 'UNKNOWN_TOPIC_OR_PARTITION')
            throw protocolError(failed, `partition ${partition} of ${topic}`)
          return { topic, partition, offset: Number(part?.offset ?? -1), metadata: part?.metadata ?? '' }
        })
      }),
    members: () =>
      ask(async (node) => {
        const { groups } = await node.describeGroups({ groupIds: [groupId] })
        return groups[0]?.members.length ?? 0
      }),
  }
}

const GROUP = 0

interface PartsAnswer<Part> {
  readonly responses: readonly {
    readonly topic: string
    readonly partitions: readonly (Part & { readonly partition: number })[]
  }[]
}

interface CommittedPart {
  readonly offset: string
  readonly metadata: string | null
  readonly errorCode: number
}

function partOf<Part>({ responses }: PartsAnswer<Part>, { topic, partition }: Place): Part | undefined {
  return responses.find((one) => one.topic === topic)?.partitions.find((part) => part.partition === partition)
}
