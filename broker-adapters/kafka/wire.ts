// What the adapter asks of a Kafka client, in our words. library.ts makes it of kafkajs; another client library is another
// file like that one. Names of errors are those of the protocol: https://kafka.apache.org/protocol#protocol_error_codes

export interface Place {
  readonly topic: string
  readonly partition: number
}

export interface NewRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
}

export interface StoredRecord {
  readonly offset: number
  /** Epoch ms: of the broker that stored it, as our topics say. */
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** What a stranger wrote and is no text is text here, too. */
  readonly headers: Readonly<Record<string, string>>
}

/** Records of one partition, which are appended together or not at all. */
export interface Batch extends Place {
  readonly records: readonly NewRecord[]
}

/**
 * `notSent` and `refused` prove that nothing is stored: it did not leave, or the broker's answer says so. `error`: the name in
 * the protocol, where there was an answer.
 */
export type Appended =
  | { readonly status: 'stored'; readonly offset: number; readonly timestamp: number }
  | { readonly status: 'notSent' | 'refused' | 'unknown'; readonly error: string; readonly reason: string }

export interface Position extends Place {
  readonly offset: number
}

export interface Fetched extends Place {
  /** The offset that was asked for. */
  readonly from: number
  /** In the protocol's words; undefined: it went well. */
  readonly error: string | undefined
  readonly records: readonly StoredRecord[]
  /** Where the next fetch goes on: behind the records, and behind what is there but none of anybody's business. */
  readonly nextOffset: number
  /** Behind the last record that may be read. */
  readonly end: number
}

export interface TopicFacts {
  readonly partitions: number
  /** Node per partition; -1: it has no leader now. */
  readonly leaders: readonly number[]
}

export interface NewTopic {
  readonly topic: string
  readonly partitions: number
  /** -1: what the server does by default. */
  readonly replicas: number
  readonly configs: Readonly<Record<string, string>>
}

/** 'earliest', 'latest', or the first one that is not older than this, epoch ms. */
export type OffsetWish = 'earliest' | 'latest' | number

/** What is committed of a partition; `offset` -1: nothing. */
export interface Committed extends Position {
  readonly metadata: string
}

/** Of the member that leads: what each other one told of itself. */
export interface Joined {
  readonly memberId: string
  readonly generation: number
  /** Undefined: somebody else leads. */
  readonly members: readonly { readonly memberId: string; readonly metadata: Buffer }[] | undefined
}

export interface GroupTiming {
  readonly sessionMs: number
  readonly rebalanceMs: number
}

/** A consumer group, asked through one connection. Each rejects with a library's error, see failures.ts. */
export interface GroupWire {
  join(
    memberId: string,
    protocol: { readonly name: string; readonly metadata: Buffer },
    timing: GroupTiming,
  ): Promise<Joined>
  /** Gives this member's part. The leader gives all parts. */
  sync(
    member: { readonly memberId: string; readonly generation: number },
    parts: readonly { readonly memberId: string; readonly assignment: Buffer }[],
  ): Promise<Buffer>
  heartbeat(member: { readonly memberId: string; readonly generation: number }): Promise<void>
  leave(memberId: string): Promise<void>
  /** One name of an error, or undefined, for each. */
  commit(
    member: { readonly memberId: string; readonly generation: number },
    offsets: readonly Committed[],
  ): Promise<readonly (string | undefined)[]>
}

/** Connections to the nodes of one cluster, dialled when they are needed. Nothing is tried again by itself. */
export interface Wire {
  /** Reaches one of the nodes that are configured, and learns of the others. */
  connect(): Promise<void>
  /** Ends at once: what is under way rejects. */
  close(): void
  /** Asks for nothing: resolves if a node answers. */
  ping(): Promise<void>
  /** Undefined: there is no such topic. Remembered until `forget`. */
  topic(name: string): Promise<TopicFacts | undefined>
  forget(name: string): void
  /** One outcome per batch, in order; never rejects. */
  produce(batches: readonly Batch[], timeoutMs: number): Promise<readonly Appended[]>
  /** From one node, that leads all these partitions. Waits until something is there, or the time is over. */
  fetch(node: number, positions: readonly Position[], limits: FetchLimits): Promise<readonly Fetched[]>
  /** One per place, in order. */
  offsets(places: readonly Place[], wish: OffsetWish): Promise<readonly number[]>
  /** One name of an error, or undefined, for each. */
  createTopics(topics: readonly NewTopic[]): Promise<readonly (string | undefined)[]>
  deleteTopic(name: string): Promise<void>
  /** Everything before the offset. */
  deleteRecords(positions: readonly Position[]): Promise<void>
  configsOf(topic: string): Promise<ReadonlyMap<string, string>>
  group(id: string): GroupWire
  committed(group: string, places: readonly Place[]): Promise<readonly Committed[]>
  /** How many members a group has. */
  members(group: string): Promise<number>
}

export interface FetchLimits {
  readonly waitMs: number
  readonly maxBytes: number
}
