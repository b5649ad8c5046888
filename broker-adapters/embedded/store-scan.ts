// A process of its own that reads a store from end to end: if the store is damaged, this process dies, and not the hub's.
// argv: the path of the store. Exit code DAMAGED_EXIT_CODE: LMDB itself says so; any other but 0 says nothing of the store.
import { messageOf } from '../../protocol/errors.ts'
import { DAMAGED_EXIT_CODE } from './store-check.ts'
import { loadLmdb, scanStore } from './store.ts'

const path = process.argv[2]
if (path === undefined) throw new Error('store-scan: give the path of a store')
const lmdb = await loadLmdb()
try {
  await scanStore(lmdb, path)
} catch (error) {
  if (!isOfLmdb(error)) throw error
  console.error(messageOf(error))
  process.exitCode = DAMAGED_EXIT_CODE
}

/** LMDB's own codes are negative (MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_INVALID …); those of the system are not. */
function isOfLmdb(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && error.code < 0
}
