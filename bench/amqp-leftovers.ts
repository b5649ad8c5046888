import { connect } from 'amqplib'

/** What the library's benchmark leaves at a server: durable queues and exchanges of one namespace, by docs/rabbitmq.md. */
export interface AmqpNames {
  readonly queues: readonly string[]
  readonly exchanges: readonly string[]
}

const PARTITIONS = 8

/** @param queues as `<group>.<service>.<major>`, of which the keyed ones have partitions */
export function amqpNames(
  namespace: string,
  queues: readonly { readonly name: string; readonly keyed: boolean }[],
): AmqpNames {
  const ofQueue = queues.flatMap(({ name, keyed }) => {
    const work = `${namespace}.q.${name}`
    const partitions = Array.from({ length: keyed ? PARTITIONS : 0 }, (_, number) => `${work}.k${number}`)
    return [
      work,
      `${work}.solo`,
      ...partitions.flatMap((partition) => [partition, `${partition}.state`]),
      ...['dead', 'paused', 'idle'].map((kind) => `${namespace}.${kind}.${name}`),
    ]
  })
  return {
    queues: [...ofQueue, `${namespace}.expired`],
    exchanges: ['ctl', 'dlx', 'dead'].map((kind) => `${namespace}.${kind}`),
  }
}

/** What is not there is passed over. */
export async function removeAmqp(url: string, { queues, exchanges }: AmqpNames): Promise<void> {
  const model = await connect(url)
  try {
    const channel = await model.createChannel()
    for (const queue of queues) await channel.deleteQueue(queue)
    for (const exchange of exchanges) await channel.deleteExchange(exchange)
  } finally {
    await model.close()
  }
}
