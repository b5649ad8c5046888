import { Redis } from 'ioredis'

/** Removes what a benchmark leaves at a server: the keys of one namespace, whoever made them. */
export async function removeRedis(url: string, namespace: string): Promise<void> {
  const connection = new Redis(url)
  try {
    for await (const keys of connection.scanStream({ match: `*${namespace}*`, count: 1_000 }) as AsyncIterable<
      string[]
    >)
      if (keys.length > 0) await connection.unlink(...keys)
  } finally {
    connection.disconnect()
  }
}
