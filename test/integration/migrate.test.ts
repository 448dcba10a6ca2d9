import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { promisify } from 'node:util'
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise'
import { migrate } from '#shared/db/migrate.ts'
import { startDatabase } from '../../services/local/database.ts'

let server: Awaited<ReturnType<typeof startDatabase>>
let connection: Connection
let url: string
let databases = 0

before(async () => {
  server = await startDatabase()
  connection = await createConnection({ uri: server.url })
})

beforeEach(async () => {
  const name = `migrate_${++databases}`
  // Of another character set than ours, as a server's default may be.
  await connection.query(`create database ${name} character set latin1`)
  await connection.changeUser({ database: name })
  url = server.url.replace(/[^/]*$/, name)
})

after(async () => {
  await connection?.end()
  await server?.close()
})

test('two runners at once apply every statement once between them, and a third none', async () => {
  const lines: string[] = []
  const report = (line: string) => lines.push(line)
  const counts = await Promise.all([migrate({ url, tls: 'off', report }), migrate({ url, tls: 'off', report })])
  assert.deepEqual(counts.sort(), [0, lines.length])
  assert.deepEqual(new Set(lines).size, lines.length)
  assert.equal(await migrate({ url, tls: 'off', report }), 0)
  assert.deepEqual(await tables(), [
    'art_analysis',
    'art_labels',
    'consumers',
    'jobs',
    'promenade_migrations',
    'webhook_deliveries',
    'webhook_events',
  ])
})

test('no column depends on the collation of the server', async () => {
  await migrate({ url, tls: 'off' })
  const [columns] = await connection.query<RowDataPacket[]>(
    `select distinct collation_name as collation from information_schema.columns
     where table_schema = database() and collation_name is not null order by 1`,
  )
  assert.deepEqual(
    columns.map(({ collation }) => collation),
    ['ascii_bin', 'utf8mb4_bin'],
  )
})

test('a statement refused stops the run, is named, and is tried again the next time', async () => {
  const folder = await folderOf({ '0000_two': ['create table a (id int)', 'create table a (id int, more int)'] })
  try {
    const expected = /^Error: Migration 0000_two\.2 was refused: Table 'a' already exists/
    await assert.rejects(migrate({ url, tls: 'off', folder }), expected)
    await assert.rejects(migrate({ url, tls: 'off', folder }), expected)
    await connection.query('drop table a')
    assert.equal(await migrate({ url, tls: 'off', folder }), 1)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a statement cut off before it was marked as done is not done twice', async () => {
  const folder = await folderOf({ '0000_one': ['create table a (id int)'] })
  try {
    await migrate({ url, tls: 'off', folder })
    await connection.query('update promenade_migrations set finished_at = null')
    assert.equal(await migrate({ url, tls: 'off', folder }), 1)
    assert.equal(await migrate({ url, tls: 'off', folder }), 0)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a database of an earlier release becomes as a new one, though its update was cut off at every statement', async () => {
  await migrate({ url, tls: 'off' })
  const expected = await definitions()
  await connection.query(`drop table ${(await tables()).join(', ')}`)
  const folder = await folderOf({ '0000_initial': [] })
  try {
    await copyFile('shared/db/migrations/0000_initial.sql', join(folder, '0000_initial.sql'))
    await migrate({ url, tls: 'off', folder })
    const before = await applied()
    const count = await migrate({ url, tls: 'off' })
    assert.ok(count > 0)
    await connection.query('update promenade_migrations set finished_at = null where name not in (?)', [before])
    assert.equal(await migrate({ url, tls: 'off' }), count)
    assert.deepEqual(await definitions(), expected)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a migration changed after it was applied is refused', async () => {
  const first = await folderOf({ '0000_one': ['create table a (id int)'] })
  const second = await folderOf({ '0000_one': ['create table a (id bigint)'] })
  try {
    await migrate({ url, tls: 'off', folder: first })
    await assert.rejects(migrate({ url, tls: 'off', folder: second }), /0000_one\.1 was changed after it was applied/)
  } finally {
    await rm(first, { recursive: true })
    await rm(second, { recursive: true })
  }
})

test('a runner waits for another no longer than it may', async () => {
  const name = createHash('sha256').update(new URL(url).pathname.slice(1)).digest('hex').slice(0, 32)
  await connection.query('select get_lock(?, 0)', [`promenade.${name}`])
  await assert.rejects(migrate({ url, tls: 'off', lockSeconds: 1 }), /Another migration is still under way after 1 s/)
  await connection.query('select release_all_locks()')
})

test('npm run migrate says what it did, and exits 0, 1 or 2', async () => {
  const secret = server.url.split('@')[0]!.split(':').at(-1)!
  const run = async (environment: Record<string, string>, ...options: string[]) => {
    const { DATABASE_URL, DATABASE_TLS, DATABASE_CA, ...inherited } = process.env
    const outcome = await promisify(execFile)(process.execPath, ['services/migrate/main.ts', ...options], {
      env: { ...inherited, ...environment },
      timeout: 30_000,
    }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
    )
    assert.doesNotMatch(outcome.stdout + outcome.stderr, /\n {4}at /)
    assert.ok(!(outcome.stdout + outcome.stderr).includes(secret))
    return outcome
  }
  const settings = { DATABASE_URL: url, DATABASE_TLS: 'off' }

  const first = await run(settings)
  assert.equal(first.code, 0)
  assert.match(first.stdout, /^applied 0000_initial\.1\n/)
  assert.deepEqual(await run(settings), { code: 0, stdout: 'the database is up to date\n', stderr: '' })
  assert.equal((await run(settings, '--help')).code, 0)
  assert.equal((await run(settings, '--bogus')).code, 2)
  assert.equal((await run({})).code, 2)
  assert.equal((await run({ ...settings, DATABASE_TLS: 'required' })).code, 1)
  const elsewhere = await run({ DATABASE_URL: `mysql://u:${secret}@db.example/p`, DATABASE_TLS: 'off' })
  assert.equal(elsewhere.code, 2)
  assert.match(elsewhere.stderr, /DATABASE_TLS must not be off/)
})

for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  // By a handler of its own: the first process of a container has no other end by a signal.
  test(`${signal} ends it at once, with status ${status}`, async (t) => {
    const silent = createServer().listen(0, '127.0.0.1')
    t.after(() => silent.close())
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const child = spawn(process.execPath, ['services/migrate/main.ts'], {
      env: { ...process.env, DATABASE_URL: `mysql://u:p@127.0.0.1:${port}/p`, DATABASE_TLS: 'off' },
      stdio: 'ignore',
      timeout: 30_000,
    })
    const ended = once(child, 'exit')
    await Promise.race([once(silent, 'connection'), ended])
    child.kill(signal)
    assert.deepEqual(await ended, [status, null])
  })
}

/** As drizzle-kit lays its migrations out. */
async function folderOf(migrations: Record<string, string[]>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'promenade-migrations-'))
  const entries = Object.keys(migrations).map((tag, idx) => ({ idx, tag }))
  await mkdir(join(folder, 'meta'))
  await writeFile(join(folder, 'meta/_journal.json'), JSON.stringify({ entries }))
  for (const [tag, statements] of Object.entries(migrations)) {
    await writeFile(join(folder, `${tag}.sql`), statements.join(';\n--> statement-breakpoint\n'))
  }
  return folder
}

async function applied(): Promise<string[]> {
  const [rows] = await connection.query<RowDataPacket[]>('select name from promenade_migrations')
  return rows.map(({ name }) => name)
}

/** Of each table. */
async function definitions(): Promise<string[]> {
  const found: string[] = []
  for (const table of await tables()) {
    const [[row]] = await connection.query<RowDataPacket[][]>({ sql: `show create table ${table}`, rowsAsArray: true })
    found.push(String(row![1]))
  }
  return found
}

async function tables(): Promise<string[]> {
  const [rows] = await connection.query<RowDataPacket[][]>({ sql: 'show tables', rowsAsArray: true })
  return rows.map(([name]) => String(name)).sort()
}
