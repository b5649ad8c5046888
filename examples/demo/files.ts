import { readdir, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'

export interface FileList {
  /** Sorted. */
  readonly paths: readonly string[]
  /** Left out because they are larger than `maxBytes`. */
  readonly larger: number
}

export interface ListOptions {
  readonly maxFiles?: number
  readonly maxBytes?: number
  /** Leaves out what is in directories whose name begins with a dot: caches, which change while they are read. */
  readonly skipsHidden?: boolean
}

/** Regular files below `dir`, sorted by path, without following links; at most `maxFiles` of at most `maxBytes`. */
export async function listFiles(
  dir: string,
  { maxFiles = Infinity, maxBytes = Infinity, skipsHidden = false }: ListOptions = {},
): Promise<FileList> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && !(skipsHidden && isHidden(relative(dir, entry.parentPath))))
  const all = files.map((entry) => join(entry.parentPath, entry.name))
  const paths: string[] = []
  let larger = 0
  for (const path of all.toSorted()) {
    if (paths.length === maxFiles) break
    if ((await sizeOf(path)) > maxBytes) larger++
    else paths.push(path)
  }
  return { paths, larger }
}

function isHidden(folder: string): boolean {
  return folder.split(sep).some((name) => name.startsWith('.'))
}

/** A file that has vanished is listed: whoever reads it says so. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch {
    return 0
  }
}
