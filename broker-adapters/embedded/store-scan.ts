// A process of its own that reads a store from end to end: if the store is damaged, this process dies, and not the hub's.
// argv: the path of the store.
import { loadLmdb, scanStore } from './store.ts'

const path = process.argv[2]
if (path === undefined) throw new Error('store-scan: give the path of a store')
await scanStore(await loadLmdb(), path)
