import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { startDatabase } from '../../services/local/database.ts'

let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'promenade-test-'))
})

after(async () => {
  await rm(folder, { recursive: true })
})

function startDev(state: string, ...args: string[]) {
  return spawn(process.execPath, ['services/local/dev.ts', '--port', '0', '--state', state, ...args], {
    // A database that is to be left alone.
    env: { ...process.env, INIT_CWD: folder, DATABASE_URL: 'mysql://u@127.0.0.1:1/d', DATABASE_TLS: 'off' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 120_000,
  })
}

/** What it prints, up to when it is ready. */
async function untilReady({ stdout }: ReturnType<typeof startDev>): Promise<string[]> {
  const lines: string[] = []
  for await (const line of createInterface({ input: stdout! })) {
    lines.push(line)
    if (line.startsWith('Ctrl-C')) break
  }
  return lines
}

async function refused(state: string, ...args: string[]) {
  const child = startDev(state, ...args)
  const [out, errors, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  assert.equal(out, '')
  assert.doesNotMatch(errors, /\n {4}at /)
  return { errors, status }
}

test('a state has one dev at a time, which ends in order, and one that is damaged is named', async () => {
  const dev = startDev('state')
  const said = text(dev.stderr)
  const exit = once(dev, 'exit')
  try {
    const lines = await untilReady(dev)
    const page = lines[0]?.match(/^Page {5}(http:\/\/127\.0\.0\.1:\d+\/)$/)?.[1]
    assert.match(await (await fetch(page!)).text(), /^<!doctype html>/i)
    const second = await refused('state')
    assert.match(second.errors, /^.*\/state: another npm run dev has its state there.*\n$/)
    assert.equal(second.status, 2)
    dev.kill('SIGTERM')
    assert.deepEqual(await exit, [0, null], await said)
  } finally {
    dev.kill('SIGKILL')
  }
  const kept = join(folder, 'state')
  assert.deepEqual((await readdir(kept)).sort(), ['aws', 'database', 'logs'])

  await writeFile(join(kept, 'database/data/ibdata1'), 'not a tablespace')
  const damaged = await refused('state')
  assert.match(
    damaged.errors,
    /the database server ended: .*If the state is damaged: remove .*\/state to start anew\.\n$/s,
  )
  assert.equal(damaged.status, 1)
})

test('it works on the database that is named, and on no other', async () => {
  const database = await startDatabase()
  const dev = startDev('elsewhere', '--database', database.url)
  const said = text(dev.stderr)
  const exit = once(dev, 'exit')
  try {
    const lines = await untilReady(dev)
    assert.ok(lines.includes(`export DATABASE_URL='${database.url}'`))
    dev.kill('SIGTERM')
    await exit
    assert.match(await said, new RegExp(`the database is ${new URL(database.url).host}/promenade\n`))
    assert.deepEqual((await readdir(join(folder, 'elsewhere'))).sort(), ['aws', 'logs'])
  } finally {
    dev.kill('SIGKILL')
    await database.close()
  }
})

test('a database that cannot be is bad usage', async () => {
  for (const url of ['', 'postgres://u@h/d', 'mysql://u@db.example/d']) {
    const { errors, status } = await refused('no-database', '--database', url)
    assert.deepEqual([status, /--database/.test(errors), /DATABASE_URL/.test(errors)], [2, true, false], errors)
  }
})

test('a state that cannot be is bad usage', async () => {
  for (const state of ['', '/dev/null', '/proc/state']) assert.equal((await refused(state)).status, 2)
})
