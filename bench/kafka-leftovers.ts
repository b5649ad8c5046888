import { connectKafka, withAdmin } from './connect-kafka.ts'

/** Removes what a benchmark leaves at a server: the topics and groups of one namespace, whoever made them. */
export async function removeKafka(broker: string, namespace: string): Promise<void> {
  const isOurs = (name: string): boolean => name.startsWith(`${namespace}.`)
  await withAdmin(connectKafka(broker), async (admin) => {
    // Groups first: the server itself removes those that have lost all their topics.
    const { groups } = await admin.listGroups()
    const { groups: named } = await admin.describeGroups(groups.map(({ groupId }) => groupId).filter(isOurs))
    // One whose member was killed has it for some seconds still, and goes with its topics.
    const empty = named.filter(({ state }) => state === 'Empty').map(({ groupId }) => groupId)
    if (empty.length > 0) await admin.deleteGroups(empty)
    const topics = (await admin.listTopics()).filter(isOurs)
    if (topics.length > 0) await admin.deleteTopics({ topics })
  })
}
