import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { HOME } from './broker.ts'

// The server's program: jars of Maven Central, fetched once. Debian has no package of Kafka, but of what runs and fetches it.

/** Of the server that tests run on. */
export const VERSION = '3.9.1'
const CACHE = join(HOME, `kafka-${VERSION}`)
/** Far beyond what a slow mirror needs for 46 MB. */
const FETCH_MS = 600_000

const POM = `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>replyto</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`

/** All of the server's jars, as `java -cp` takes them. */
export const CLASS_PATH = join(CACHE, 'libs', '*')
/**
 * The classes that a server loads, as it has them in memory: with them a start is half the work.
 *
 * https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
 */
export const CLASS_ARCHIVE = join(CACHE, 'classes.jsa')

/** What runs it is there, and the program or what fetches it. */
export function isInstalled(): boolean {
  return runs('java', '-version') && (existsSync(CACHE) || runs('mvn', '--version'))
}

/** Fetches the program unless it is there. */
export async function fetchFiles(): Promise<void> {
  if (existsSync(CACHE)) return
  mkdirSync(HOME, { recursive: true })
  // Renamed when it is whole, so that a download that was interrupted is never taken for one.
  const dir = mkdtempSync(`${CACHE}-`)
  try {
    writeFileSync(join(dir, 'pom.xml'), POM)
    await maven(dir, 'dependency:copy-dependencies', `-DoutputDirectory=${join(dir, 'libs')}`)
    renameSync(dir, CACHE)
  } catch (error) {
    rmSync(dir, { recursive: true, force: true })
    if (!existsSync(CACHE)) throw error // else another process was faster
  }
}

async function maven(dir: string, ...args: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)('mvn', ['-q', '-B', ...args], { cwd: dir, timeout: FETCH_MS })
  } catch (error) {
    // It says what failed on its output, not on the one of errors.
    const said = error instanceof Error && 'stdout' in error ? `\n${String(error.stdout)}` : ''
    throw new Error(`Kafka ${VERSION} could not be fetched from Maven Central${said}`, { cause: error })
  }
}

function runs(command: string, ...args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore', timeout: 20_000 }).status === 0
}
