import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createConnection, type RowDataPacket } from 'mysql2/promise'
import { freePort, startDatabase } from '../../services/local/database.ts'

async function query(url: string, sql: string): Promise<RowDataPacket[]> {
  const connection = await createConnection(url)
  try {
    const [rows] = await connection.query<RowDataPacket[]>(sql)
    return rows
  } finally {
    await connection.end()
  }
}

test('two private servers at once, each with its own empty database in utf8mb4_bin, gone when closed', async () => {
  const databases = await Promise.all([startDatabase(), startDatabase()])
  try {
    await query(databases[0].url, 'create table one (id int)')
    assert.equal((await query(databases[1].url, 'show tables')).length, 0)
    const [row] = await query(databases[0].url, 'select @@collation_database as collation, @@datadir as dir')
    assert.equal(row!.collation, 'utf8mb4_bin')
  } finally {
    await Promise.all(databases.map((database) => database.close()))
  }
  await assert.rejects(query(databases[0].url, 'select 1'), /ECONNREFUSED/)
})

test('eight servers created at the same moment do not meet, neither in a port nor in a temporary file', async () => {
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => startDatabase()))
  const started = outcomes.filter((outcome) => outcome.status === 'fulfilled')
  await Promise.all(started.map((outcome) => outcome.value.close()))
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.status === 'rejected' ? String(outcome.reason) : 'started')),
    Array(8).fill('started'),
  )
})

test('a port that another program takes first is changed for another', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const ports = [port, await freePort()]
  const database = await startDatabase({ choosePort: async () => ports.shift()! })
  await database.close()
  taken.close()
  assert.deepEqual(ports, [])
})

test('with a folder, whose name may have spaces and be long, what was written is there the next time', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'promenade test '))
  const dir = join(folder, 'a long name '.repeat(10))
  try {
    const first = await startDatabase({ dir })
    await query(first.url, 'create table kept (id int)')
    await first.close()
    const second = await startDatabase({ dir })
    const tables = await query(second.url, 'show tables')
    await second.close()
    assert.equal(tables.length, 1)
    assert.notEqual(first.url, second.url)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a server that cannot start is an error with the end of its log', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'promenade-test-'))
  try {
    await mkdir(join(dir, 'data'))
    await writeFile(join(dir, 'data/ibdata1'), 'not a tablespace')
    await assert.rejects(
      startDatabase({ dir }),
      /the database server ended: exit status 1; its log ends with:\n.*ERROR.*InnoDB/s,
    )
  } finally {
    await rm(dir, { recursive: true })
  }
})

test('when its parent is killed, the server ends and its folder goes', async () => {
  const source = new URL('../../services/local/database.ts', import.meta.url).href
  const script = `
    const { startDatabase } = await import('${source}')
    console.log((await startDatabase()).url)
    process.kill(process.pid, 'SIGKILL')`
  const folder = await mkdtemp(join(tmpdir(), 'promenade-test-'))
  try {
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 2],
    })
    const [url, [, signal]] = await Promise.all([text(parent.stdout!), once(parent, 'exit')])
    assert.equal(signal, 'SIGKILL')
    assert.match(url, /^mysql:/)
    const deadline = Date.now() + 20_000
    while ((await readdir(folder)).length > 0) {
      assert.ok(Date.now() < deadline, 'the folder of the database is still there')
      await sleep(20)
    }
    // The folder goes last.
    await assert.rejects(query(url.trim(), 'select 1'), /ECONNREFUSED/)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
