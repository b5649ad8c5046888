import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { VERSION as KAFKA_VERSION } from '../../scripts/brokers/kafka-files.ts'
import { KAFKA } from '../../scripts/brokers/kafka.ts'
import { RABBITMQ } from '../../scripts/brokers/rabbitmq.ts'
import { REDIS } from '../../scripts/brokers/redis.ts'

// There is no engine here to run it: what is relied on is read.

interface Service {
  readonly image: string
  readonly hostname?: string
  readonly command?: readonly string[]
  readonly ports: readonly string[]
  readonly volumes: readonly string[]
  readonly environment?: Readonly<Record<string, string | number>>
  readonly healthcheck: { readonly test: readonly string[]; readonly interval: string; readonly retries: number }
}

const file = readFileSync(new URL('../../docker-compose.yml', import.meta.url), 'utf8')
const { services, volumes } = parse(file) as {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, unknown>>
} // ours; each field is looked at below

const BROKERS = [RABBITMQ, REDIS, KAFKA]

test('docker-compose.yml has the brokers', () => {
  expect(Object.keys(services)).toEqual(['rabbitmq', 'redis', 'kafka'])
})

describe.each(Object.entries(services))('%s in docker-compose.yml', (_name, service) => {
  test('is pinned to one release', () => {
    expect(service.image).toMatch(/^[a-z/]+:\d+\.\d+\.\d+(?:-[a-z]+)?$/)
  })

  test('is open on this machine only', () => {
    expect(service.ports.length).toBeGreaterThan(0)
    for (const port of service.ports) expect(port).toMatch(/^127\.0\.0\.1:(\d+):\1$/)
  })

  test('tells when it is ready, so that --wait waits for that', () => {
    expect(service.healthcheck.test[0]).toBe('CMD')
    expect(service.healthcheck.test.length).toBeGreaterThan(1)
    expect(service.healthcheck.interval).toMatch(/^\d+s$/)
    expect(service.healthcheck.retries).toBeGreaterThan(0)
  })

  test('keeps its data in a volume that is declared', () => {
    const [mount = '', ...others] = service.volumes
    expect(others).toEqual([])
    expect(mount).toMatch(/^[a-z]+:\/[a-z/]+$/)
    expect(Object.keys(volumes)).toContain(mount.split(':')[0])
  })
})

test('RabbitMQ is 4 with management, and finds its data again: they lie below the name of its host', () => {
  const { image, hostname, ports } = services['rabbitmq'] ?? {}
  expect(image).toMatch(/^rabbitmq:4\.\d+\.\d+-management$/)
  expect(hostname).toMatch(/^[a-z-]+$/)
  expect(ports).toContain('127.0.0.1:15672:15672')
})

test('Redis is 7 and keeps what it is given: in a file, and whatever its memory', () => {
  const { image, command = [], volumes: mounts } = services['redis'] ?? {}
  expect(image).toMatch(/^redis:7\.4\.\d+-alpine$/)
  const [program, ...words] = command
  expect(program).toBe('redis-server')
  const settings = Object.fromEntries(words.flatMap((word, at) => (at % 2 === 0 ? [[word, words[at + 1]]] : [])))
  expect(settings).toEqual({
    '--appendonly': 'yes',
    '--appendfsync': 'everysec',
    '--maxmemory-policy': 'noeviction',
  })
  expect(mounts).toEqual(['redis:/data']) // the image's own place of data
})

test('Kafka is the release that the tests run on, one node in KRaft mode, and keeps its data where the volume is', () => {
  const { image, environment = {}, volumes: mounts } = services['kafka'] ?? {}
  expect(image).toBe(`apache/kafka:${KAFKA_VERSION}`)
  expect(environment).toMatchObject({
    KAFKA_PROCESS_ROLES: 'broker,controller',
    KAFKA_ADVERTISED_LISTENERS: 'PLAINTEXT://127.0.0.1:9092', // what clients are sent to
    KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: 1,
    KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: 1,
    KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: 1,
  })
  expect(mounts).toEqual([`kafka:${environment['KAFKA_LOG_DIRS']}`])
})

test.each(BROKERS)('npm run brokers finds $name there', ({ service, composeUrl }) => {
  const { hostname, port } = new URL(composeUrl)
  expect(services[service]?.ports).toContain(`${hostname}:${port}:${port}`)
})
