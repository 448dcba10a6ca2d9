import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { eq } from 'drizzle-orm'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { migrate } from '#shared/db/migrate.ts'
import type { ListFilters, ListPosition } from '#shared/db/result-list.ts'
import { createResults } from '#shared/db/results.ts'
import { jobs as jobsTable } from '#shared/db/schema.ts'
import { startDatabase } from '../../services/local/database.ts'
import { analysisOf, bucket, laterTake, uploadOf } from '../job.ts'
import { watchDatabase } from '../watched-database.ts'

const jobCount = 20_000
const epoch = Date.parse('2026-01-01T00:00:00Z')

let server: Awaited<ReturnType<typeof startDatabase>>
let database: Database
let watched: Awaited<ReturnType<typeof watchDatabase>>
let results: ReturnType<typeof createResults>

before(async () => {
  server = await startDatabase()
  await migrate({ url: server.url, tls: 'off' })
  database = openDatabase({ url: server.url, tls: 'off' })
  watched = await watchDatabase(server.url)
  for (const statement of bulk) await watched.connection.query(statement)
  results = createResults({ database: watched.database, bucket })
})

after(async () => {
  await watched?.close()
  await database?.close()
  await server?.close()
})

/**
 * Two jobs a second. Of a hundred one has failed and one is queued, and the rest have ended well; a state, a genre and a
 * style are each evenly spread. The oldest 6,000 lie under uploads/old/, the others with one of 500 users.
 */
const bulk = [
  `insert into jobs (id, bucket, image_key, key_digest, version, etag, take, size_bytes, sequencer, state, progress, attempt,
     created_at, updated_at)
   select md5(seq), '${bucket}', concat('uploads/', if(seq <= 6000, 'old', concat('user-', seq % 500)), '/', seq, '.jpg'),
     sha2(seq, 256), 'v', 'e', 0, seq, '', case seq % 100 when 0 then 'failed' when 1 then 'queued' else 'succeeded' end, 0, 1,
     '2026-01-01' + interval (seq div 2) second, utc_timestamp(3)
   from seq_1_to_${jobCount}`,
  `insert into art_labels select 'genre', concat('genre ', size_bytes % 11), created_at, id from jobs
   where state = 'succeeded'`,
  ...[1, 2, 3, 4, 5].map(
    (
      nth,
    ) => `insert into art_labels select 'style', concat('style ', (size_bytes + ${nth}) % 27), created_at, id from jobs
      where state = 'succeeded'`,
  ),
  'analyze table jobs, art_labels',
]

const timeOf = (seq: number) => new Date(epoch + Math.floor(seq / 2) * 1000)
const idOf = (seq: number) => createHash('md5').update(String(seq)).digest('hex')

const newestFirst = Array.from({ length: jobCount }, (_, index) => index + 1).sort(
  (one, other) => timeOf(other).getTime() - timeOf(one).getTime() || (idOf(one) < idOf(other) ? 1 : -1),
)

/** Rows that one page may read at most, of tables and of indexes. */
const few = 400
const bounded = 15_000

const cases: { name: string; filters: ListFilters; matches: (seq: number) => boolean; mostRead: number }[] = [
  { name: 'no filter', filters: {}, matches: () => true, mostRead: few },
  { name: 'a state', filters: { state: 'failed' }, matches: (seq) => seq % 100 === 0, mostRead: few },
  { name: 'a state that none is in', filters: { state: 'canceled' }, matches: () => false, mostRead: few },
  { name: 'a genre', filters: { genre: 'genre 3' }, matches: isGenre3, mostRead: few },
  { name: 'a style', filters: { style: 'style 9' }, matches: isStyle9, mostRead: few },
  { name: 'an unknown genre', filters: { genre: "'; drop table jobs; --" }, matches: () => false, mostRead: few },
  { name: 'a time', filters: { since: timeOf(19_000) }, matches: (seq) => seq >= 19_000, mostRead: few },
  {
    name: 'genre and style',
    filters: { genre: 'genre 3', style: 'style 9' },
    matches: (seq) => isGenre3(seq) && isStyle9(seq),
    mostRead: bounded,
  },
  {
    name: 'genre and a state that has none',
    filters: { genre: 'genre 3', state: 'failed' },
    matches: () => false,
    mostRead: bounded,
  },
  {
    name: 'state and style',
    filters: { state: 'succeeded', style: 'style 9' },
    matches: isStyle9,
    mostRead: bounded,
  },
  {
    name: "a user's prefix",
    filters: { prefix: 'uploads/user-7/' },
    matches: (seq) => seq > 6000 && seq % 500 === 7,
    mostRead: few,
  },
  {
    name: 'a prefix without slash',
    filters: { prefix: 'uploads/user-49', state: 'failed' },
    matches: (seq) => seq > 6000 && seq % 100 === 0 && String(seq % 500).startsWith('49'),
    mostRead: bounded,
  },
  { name: 'the prefix of all', filters: { prefix: 'uploads/' }, matches: () => true, mostRead: bounded },
  {
    name: 'a large prefix far back',
    filters: { prefix: 'uploads/old/' },
    matches: (seq) => seq <= 6000,
    mostRead: bounded,
  },
  {
    name: 'everything at once',
    filters: {
      state: 'succeeded',
      genre: 'genre 3',
      style: 'style 9',
      prefix: 'uploads/user-1',
      since: timeOf(15_000),
    },
    matches: (seq) =>
      seq >= 15_000 && seq % 100 > 1 && isGenre3(seq) && isStyle9(seq) && String(seq % 500).startsWith('1'),
    mostRead: bounded,
  },
]

function isGenre3(seq: number): boolean {
  return seq % 100 > 1 && seq % 11 === 3
}

function isStyle9(seq: number): boolean {
  return seq % 100 > 1 && [1, 2, 3, 4, 5].some((nth) => (seq + nth) % 27 === 9)
}

for (const { name, filters, matches, mostRead } of cases) {
  test(`${name}: each job that matches once, newest first, and no page reads more than ${mostRead} rows`, async () => {
    const expected = newestFirst.filter(matches)
    const enough = Math.min(expected.length, 2500)
    const found: number[] = []
    let after: ListPosition | undefined
    let pages = 0
    do {
      await watched.forget()
      const page = await results.list({ filters, after, limit: 100 })
      const rowsRead = await watched.rowsRead()
      assert.ok(rowsRead <= mostRead, `page ${pages} read ${rowsRead} rows`)
      assert.ok(page.found.length <= 100)
      found.push(...page.found.map(({ job }) => job.sizeBytes))
      if (pages++ === 0) await watched.assertPlans()
      after = page.next
    } while (after && found.length < enough)
    assert.deepEqual(found, expected.slice(0, found.length))
    assert.ok(found.length >= enough)
    assert.ok(pages <= Math.ceil(jobCount / 900) + enough / 100 + 1, `${pages} pages`)
  })
}

test('new jobs that come between two pages move nothing', async () => {
  const jobs = createJobs({ database })
  const seen: string[] = []
  let after: ListPosition | undefined
  for (let page = 0; page < 5; page++) {
    const { found, next } = await results.list({ filters: { state: 'queued' }, after, limit: 7 })
    seen.push(...found.map(({ job }) => job.imageKey))
    after = next
    const id = await jobs.receive(uploadOf(`uploads/new/${page}.jpg`))
    // Whatever the database's clock says.
    await database.run((db) =>
      db
        .update(jobsTable)
        .set({ createdAt: timeOf(30_000 + 2 * page) })
        .where(eq(jobsTable.id, id)),
    )
  }
  const expected = Array.from(
    { length: 35 },
    (_, index) => `uploads/user-${(19_901 - index * 100) % 500}/${19_901 - index * 100}.jpg`,
  )
  assert.deepEqual(seen, expected)
  const { found } = await results.list({ filters: { state: 'queued' }, limit: 2 })
  assert.deepEqual(
    found.map(({ job }) => job.imageKey),
    ['uploads/new/4.jpg', 'uploads/new/3.jpg'],
  )
})

test('a job that leaves a state while those in it are listed is in it or is not listed', async () => {
  const job = laterTake(uploadOf('uploads/moving.jpg'), 1)
  await database.run((db) => db.insert(jobsTable).values(job))
  let listing = true
  const moving = (async () => {
    for (let moves = 1; listing; moves++) {
      const state = moves % 2 ? 'processing' : 'queued'
      await database.run((db) => db.update(jobsTable).set({ state }).where(eq(jobsTable.id, job.id)))
    }
  })()
  try {
    for (let lists = 0; lists < 100; lists++) {
      const { found } = await results.list({ filters: { state: 'queued', prefix: 'uploads/moving' }, limit: 1 })
      for (const { job } of found) assert.equal(job.state, 'queued')
    }
  } finally {
    listing = false
    await moving
  }
})

test("other buckets' jobs are not listed, and an analysis comes with its job, of each take", async () => {
  const jobs = createJobs({ database })
  const foreign = uploadOf('uploads/foreign/a.jpg', { bucket: 'another' })
  await jobs.receive(foreign)
  const upload = uploadOf('uploads/foreign/b.jpg')
  const later = laterTake(upload, 1)
  await database.run((db) => db.insert(jobsTable).values(later))
  const ids = [await jobs.receive(upload), later.id]
  for (const [take, id] of ids.entries()) {
    await jobs.claim(id, { token: 'a', leaseSeconds: 60 })
    await jobs.succeed({ id, token: 'a', analysis: { ...analysisOf(upload), take, genre: 'of its own' } })
  }
  for (const filters of [{ prefix: 'uploads/foreign/' }, { genre: 'of its own' }]) {
    const { found, next } = await results.list({ filters, limit: 100 })
    assert.equal(next, undefined)
    const takes = found.map(({ job, analysis }) => [job.imageKey, job.take, analysis?.take]).sort()
    assert.deepEqual(takes, [
      [upload.key, 0, 0],
      [upload.key, 1, 1],
    ])
  }
})

test('a prefix goes by bytes: case counts, a wildcard is itself, and what sorts last is found', async () => {
  const jobs = createJobs({ database })
  const keys = [
    'uploads/bytes/%_/a',
    'uploads/bytes/A',
    'uploads/bytes/a',
    'uploads/bytes/한국',
    'uploads/bytes/\u{10ffff}',
  ]
  for (const key of keys) await jobs.receive(uploadOf(key))
  for (const [prefix, expected] of [
    ['uploads/bytes/%', ['uploads/bytes/%_/a']],
    ['uploads/bytes/a', ['uploads/bytes/a']],
    ['uploads/bytes/한', ['uploads/bytes/한국']],
    ['uploads/bytes/\u{10ffff}', ['uploads/bytes/\u{10ffff}']],
    ['uploads/bytes', keys],
  ] as const) {
    const { found } = await results.list({ filters: { prefix }, limit: 100 })
    assert.deepEqual(found.map(({ job }) => job.imageKey).sort(), [...expected].sort())
  }
})
