import type { TestBroker } from './broker.ts'
import { createCluster, removeCluster, runsAtAll, type ClusterFacts } from './kafka-cluster.ts'
import { isInstalled } from './kafka-files.ts'

export const KAFKA: TestBroker = {
  name: 'kafka',
  variable: 'REPLYTO_TEST_KAFKA_URL',
  service: 'kafka',
  composeUrl: 'kafka://127.0.0.1:9092',
  packages: ['openjdk-17-jre-headless', 'maven'],
  hasNodes: true,
  isInstalled,
  start: (dir, { nodes }) => createCluster({ dir, nodes }),
  isRunning: (facts) => isCluster(facts) && runsAtAll(facts),
  async stop(facts) {
    if (isCluster(facts)) await removeCluster(facts)
  },
}

/** As it was written to a file. */
function isCluster(facts: unknown): facts is ClusterFacts {
  return typeof facts === 'object' && facts !== null && 'dir' in facts && 'nodes' in facts && 'url' in facts
}
