/**
 * What a worker counts. docs/errors.md lists exactly these names.
 *
 * | name | counted when |
 * | --- | --- |
 * | completed | a handler returned and its call is acked |
 * | failed | a call or send failed finally, in whatever way but expiry and cancel |
 * | retried | an attempt failed and another one will be made |
 * | deadLettered | a message was kept as a dead letter |
 * | expired | the deadline had passed before the handler was entered |
 * | cancelled | the caller had cancelled |
 * | duplicates | a message came again: adopted by its running attempt, or acked because it had finished |
 * | lateResults | a handler returned although its delivery was lost: its caller is answered all the same |
 * | lostDeliveries | the broker took a delivery back while it was held here |
 * | released | a delivery was given back, not begun |
 * | leftToNewer | a message of a newer caller that is not known here was put back, for workers that are new enough |
 * | isolated | a message had come back from its workers twice and was set apart, to run alone |
 * | invalidMessages | a message could not be read |
 * | refusedReplyAddress | a reply address is no inbox of this namespace, nor one of `replyAddresses`; nothing is sent there |
 * | repliesGone | the caller's inbox no longer exists |
 * | repliesResent | a reply was sent again because the broker had not confirmed it |
 * | repliesAbandoned | a reply was given up some time after its call's deadline |
 * | progressDropped | a progress report was too large, could not be encoded or does not fit the contract |
 * | consumersRebuilt | a consumer got nothing although messages waited for it, and was replaced |
 * | overrun | a handler ran longer than its time and ignored its signal |
 * | streamsAbandoned | nobody read a stream any more: its handler was told to end |
 */
export type WorkerCount =
  | 'completed'
  | 'failed'
  | 'retried'
  | 'deadLettered'
  | 'expired'
  | 'cancelled'
  | 'duplicates'
  | 'lateResults'
  | 'lostDeliveries'
  | 'released'
  | 'leftToNewer'
  | 'isolated'
  | 'invalidMessages'
  | 'refusedReplyAddress'
  | 'repliesGone'
  | 'repliesResent'
  | 'repliesAbandoned'
  | 'progressDropped'
  | 'consumersRebuilt'
  | 'overrun'
  | 'streamsAbandoned'
