import { randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { jobId, keyDigest, normalizeSequencer } from '#shared/contract/key.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { artAnalysis, artLabels, jobs as jobsTable } from '#shared/db/schema.ts'
import { startApi } from '../../services/local/processes.ts'
import { startStack } from '../../services/local/stack.ts'
import { analysisOf, uploadOf } from '../job.ts'
import type { LoadFigures, LoadOrder } from './api-load.ts'
import { load, startBareFastify } from './api-processes.ts'

const rowsPerInsert = 1_000
const connections = 32
const rounds = 3
const leaseSeconds = 300

export interface ApiRow extends LoadFigures {
  name: string
  /** Requests per second, to those of the bare route. */
  ratio: number
}

/**
 * The API as a process of its own, with a key and the real database, beside a bare Fastify route that answers the same bytes;
 * the load comes from a third process. The rounds of all alternate, and the median of each is told.
 */
export async function benchApi(
  { results, seconds, clients }: { results: number; seconds: number; clients: number },
  say: (line: string) => void,
) {
  const stack = await startStack()
  const closers: (() => unknown)[] = [stack.close]
  try {
    const bucket = stack.env.BUCKET!
    const database = openDatabase({ url: stack.env.DATABASE_URL!, tls: 'off' })
    closers.push(database.close)
    say(`writing ${results} results`)
    const keys = await writeResults(database, bucket, results)
    const key = randomBytes(24).toString('base64url')
    const env = {
      ...process.env,
      ...stack.env,
      HOST: '127.0.0.1',
      PORT: '0',
      API_KEYS: key,
      RATE_LIMIT_PER_MINUTE: '100000000',
    }
    const api = await startApi({ env })
    closers.push(api.close)
    const origin = api.ready[1]!
    const authorization = `Bearer ${key}`
    const finished = keys.map(pathOf)
    const response = await fetch(`${origin}${finished[0]}`, { headers: { authorization } })
    const bare = await startBareFastify(await response.json())
    closers.push(bare.close)
    const unfinished = await startJob(database, bucket, 'uploads/unfinished.jpg')
    const etag = response.headers.get('etag')!
    const order = { origin, headers: { authorization }, connections, seconds, status: 200 }
    const orders: Record<string, LoadOrder> = {
      'bare Fastify': { ...order, origin: bare.origin, paths: finished.slice(0, 1) },
      'a finished result': { ...order, paths: finished.slice(0, 1) },
      'finished results at random': { ...order, paths: shuffled(finished).slice(0, 5_000) },
      'an unfinished result': { ...order, paths: [unfinished.path] },
      'not changed (304)': {
        ...order,
        paths: finished.slice(0, 1),
        headers: { authorization, 'if-none-match': etag },
        status: 304,
      },
    }
    say(`${rounds} rounds of ${seconds} s, ${connections} connections`)
    const rows = await measure(orders)
    say(`${clients} clients wait for one job`)
    const waiting = await measureWaiting({ database, bucket, origin, authorization, clients })
    return { results, connections, rows, waiting }
  } finally {
    for (const close of closers.toReversed()) await close()
  }
}

async function measure(orders: Record<string, LoadOrder>): Promise<ApiRow[]> {
  const found = Object.keys(orders).map((name) => ({ name, figures: [] as LoadFigures[] }))
  // Compiled code and warm caches, for all alike.
  for (const order of Object.values(orders)) await load({ ...order, seconds: 1 })
  for (let round = 0; round < rounds; round++) {
    for (const { name, figures } of found) figures.push(await load(orders[name]!))
  }
  const rows = found.map(({ name, figures }) => ({
    name,
    requests_per_second: median(figures.map((each) => each.requests_per_second)),
    p50_ms: median(figures.map((each) => each.p50_ms)),
    p99_ms: median(figures.map((each) => each.p99_ms)),
  }))
  return rows.map((row) => ({ ...row, ratio: row.requests_per_second / rows[0]!.requests_per_second }))
}

/**
 * All clients hold `?wait=60` on one job, which goes on as the consumer writes it and ends after some seconds. Milliseconds
 * are from when its end has been committed; the statements are all selects of the database meanwhile, which are the API's.
 */
async function measureWaiting({
  database,
  bucket,
  origin,
  authorization,
  clients,
}: {
  database: Database
  bucket: string
  origin: string
  authorization: string
  clients: number
}) {
  const { jobs, lease, upload, path } = await startJob(database, bucket, 'uploads/waited-for.jpg')
  const address = `${origin}${path}?wait=60`
  const answers = Array.from({ length: clients }, () => waitFor(address, authorization))
  // Until all have been taken in, and the first looks are over.
  await sleep(3_000)
  const selects = await countSelects(database)
  const startedAt = performance.now()
  const totalSeconds = 8
  for (let second = 0; second < totalSeconds; second++) {
    const etaSeconds = totalSeconds - second
    await jobs.progress({ ...lease, stage: 'composing', progress: 0.1 + (0.85 * second) / totalSeconds, etaSeconds })
    await sleep(1_000)
  }
  await jobs.progress({ ...lease, stage: 'storing', progress: 0.95 })
  await sleep(300)
  await jobs.succeed({ ...lease, analysis: analysisOf(upload) })
  const endedAt = performance.now()
  const latencies = (await Promise.all(answers)).map(({ status, at }) => {
    if (status !== 'succeeded') throw new Error(`expected every client to hear of success, found ${status}`)
    return at - endedAt
  })
  const seconds = (performance.now() - startedAt) / 1000
  // Of the job's own writes, none is a select but two in its last.
  const statements = (await countSelects(database)) - selects
  const sorted = latencies.toSorted((a, b) => a - b)
  return {
    clients,
    median_ms: sorted[Math.floor(clients / 2)]!,
    max_ms: sorted.at(-1)!,
    queries_per_second: statements / seconds,
    seconds,
  }
}

function waitFor(address: string, authorization: string): Promise<{ status: string; at: number }> {
  return new Promise((resolve, reject) => {
    request(address, { headers: { authorization }, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: JSON.parse(body).status, at: performance.now() }))
      response.on('error', reject)
    })
      .on('error', reject)
      .end()
  })
}

async function countSelects(database: Database): Promise<number> {
  const [rows] = await database.run((db) => db.execute(sql`show global status like 'Com_select'`))
  return Number((rows as unknown as { Value: string }[])[0]!.Value)
}

async function startJob(database: Database, bucket: string, key: string) {
  const jobs = createJobs({ database })
  const upload = uploadOf(key, { bucket })
  const id = await jobs.receive(upload)
  const lease = { id, token: 'bench' }
  await jobs.claim(id, { token: lease.token, leaseSeconds })
  return { jobs, lease, upload, path: pathOf(key) }
}

/** Straight into the tables, many rows at a time; returns the keys. */
async function writeResults(database: Database, bucket: string, count: number): Promise<string[]> {
  const keys = Array.from({ length: count }, (_, index) => `uploads/2026/${index.toString(36)}.jpg`)
  for (let first = 0; first < count; first += rowsPerInsert) {
    const rows = keys.slice(first, first + rowsPerInsert).map((key, index) => finishedRows(bucket, key, first + index))
    await database.run(async (db) => {
      await db.insert(jobsTable).values(rows.map(({ job }) => job))
      await db.insert(artAnalysis).values(rows.map(({ analysis }) => analysis))
      await db.insert(artLabels).values(rows.map(({ label }) => label))
    })
  }
  return keys
}

function finishedRows(bucket: string, key: string, index: number) {
  const upload = uploadOf(key, { bucket })
  const id = jobId(upload)
  const at = new Date(Date.UTC(2026, 0, 1) + index * 1_000)
  const { embedding: _, ...analysis } = analysisOf(upload)
  return {
    job: {
      id,
      bucket,
      imageKey: key,
      keyDigest: keyDigest(bucket, key),
      version: upload.version,
      etag: upload.etag,
      take: 0,
      sizeBytes: upload.size,
      sequencer: normalizeSequencer(upload.sequencer),
      state: 'succeeded' as const,
      progress: 1,
      attempt: 1,
      createdAt: at,
      startedAt: at,
      finishedAt: at,
      updatedAt: at,
    },
    analysis: { ...analysis, jobId: id, createdAt: at },
    label: { kind: 'genre' as const, name: analysis.genre, createdAt: at, jobId: id },
  }
}

function pathOf(key: string): string {
  return `/v1/results/${key}`
}

function shuffled<T>(values: readonly T[]): T[] {
  const random = randomBytes(values.length * 4)
  return values
    .map((value, index) => ({ value, at: random.readUInt32LE(index * 4) }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
}
