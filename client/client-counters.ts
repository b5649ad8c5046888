/**
 * What a client counts. docs/errors.md lists exactly these names.
 *
 * | name | counted when |
 * | --- | --- |
 * | lateReplies | a reply came for a call that had already ended |
 * | foreignReplies | a reply came for a call that this process never made |
 * | timeouts | a deadline ended a call or send |
 * | overloaded | a call was refused because the outbox was full |
 * | resent | a message was published again because its first outcome was not known |
 * | inboxesRecreated | the broker had lost the inbox, and with it what waited there |
 */
export type ClientCount = 'lateReplies' | 'foreignReplies' | 'timeouts' | 'overloaded' | 'resent' | 'inboxesRecreated'

export type CountClient = (name: ClientCount) => void
