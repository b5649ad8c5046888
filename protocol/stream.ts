/*
 * Streams of replies. The worker sends the items in chunks: replies of type 'chunk' whose body is a list of items, numbered
 * from 0 by `rt-seq` within a run (`rt-run`). The client tells how many chunks its reader has taken, by replies of type
 * 'grant' to the address in `rt-grant-to`: `rt-seq` is their number so far, so a grant may be lost or come twice. 'end', or
 * 'error' behind chunks, says in `rt-seq` how many chunks there were.
 */

/** No chunk is sent while so many, or so many bytes of them, are not taken by the reader. */
export const MAX_UNREAD_CHUNKS = 64
export const MAX_UNREAD_BYTES = 262_144
/** A chunk is sent when it holds so much, and at the end of the turn of the event loop anyway. */
export const MAX_CHUNK_ITEMS = 128
export const MAX_CHUNK_BYTES = 16_384
/** The last grant is said again so often, as one may be lost, and to say that the reader lives. */
export const GRANT_REPEAT_MS = 1_000
export const DEFAULT_SILENCE_MS = 30_000
