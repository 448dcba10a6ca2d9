import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'

let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'promenade-test-'))
})

after(async () => {
  await rm(folder, { recursive: true })
})

function startDev(state: string) {
  return spawn(process.execPath, ['services/local/dev.ts', '--port', '0', '--state', state], {
    env: { ...process.env, INIT_CWD: folder, DATABASE_URL: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 120_000,
  })
}

async function refused(state: string) {
  const child = startDev(state)
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
    const lines: string[] = []
    for await (const line of createInterface({ input: dev.stdout })) {
      lines.push(line)
      if (line.startsWith('Ctrl-C')) break
    }
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

test('a state that cannot be is bad usage', async () => {
  for (const state of ['', '/dev/null', '/proc/state']) assert.equal((await refused(state)).status, 2)
})
