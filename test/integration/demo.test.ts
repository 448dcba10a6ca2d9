import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { on, once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import sharp from 'sharp'
import Value from 'typebox/value'
import { Result } from '#shared/contract/result.ts'
import { isRunning } from '../is-running.ts'

const waitMilliseconds = 60_000

let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'promenade demo '))
})

after(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function picture(name: string, background: string): Promise<string> {
  const path = join(folder, name)
  await sharp({ create: { width: 160, height: 120, channels: 3, background } }).toFile(path)
  return path
}

/** A database and receivers that the demo is to leave alone. */
const notHis = {
  DATABASE_URL: 'mysql://u@127.0.0.1:1/d',
  DATABASE_TLS: 'required',
  DATABASE_CA: '/nowhere/ca.pem',
  WEBHOOKS: 'no list of endpoints',
}

/** As a user types it, but with TMPDIR in the test's folder, where nothing may stay. */
function startDemo(args: string[], settings: Record<string, string> = {}) {
  return spawn(process.execPath, ['services/local/bootstrap.js', 'services/local/demo.ts', ...args], {
    env: { ...process.env, TMPDIR: folder, ...notHis, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function demo(args: string[], settings: Record<string, string> = {}) {
  const child = startDemo(args, settings)
  const [out, errors, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  const lines = out
    .split('\n')
    .filter(Boolean)
    .map((line): Result & { wav?: string } => JSON.parse(line))
  return { lines, out, errors, status }
}

async function leftovers(): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.startsWith('promenade-'))
}

/** Seconds, format and loudness (root mean square, full scale 1) of a WAV of 16-bit PCM. */
function describeWav(wav: Buffer) {
  assert.equal(wav.toString('latin1', 0, 4), 'RIFF')
  assert.equal(wav.toString('latin1', 36, 40), 'data')
  const samples = new Int16Array(wav.buffer.slice(wav.byteOffset + 44, wav.byteOffset + 44 + wav.readUInt32LE(40)))
  const rate = wav.readUInt32LE(24)
  return {
    format: wav.readUInt16LE(20),
    channels: wav.readUInt16LE(22),
    rate,
    bits: wav.readUInt16LE(34),
    seconds: samples.length / rate,
    loudness: Math.sqrt(samples.reduce((sum, sample) => sum + sample ** 2, 0) / samples.length) / 2 ** 15,
  }
}

test('two pictures come back with labels and music of their own, and the same picture with the same bytes', async () => {
  const paths = [await picture('red one.jpg', '#b03020'), await picture('blue.png', '#2040c0')]
  const first = await demo(paths)
  assert.equal(first.status, 0, first.errors)
  assert.equal(first.lines.length, 2)
  const wavs: Buffer[] = []
  for (const [index, { wav, ...result }] of first.lines.entries()) {
    assert.deepEqual([...Value.Errors(Result, result)], [])
    assert.equal(result.key, ['uploads/red one.jpg', 'uploads/blue.png'][index])
    assert.equal(result.status, 'succeeded')
    assert.ok(result.genre && result.image_url && result.music_url && result.timings)
    assert.equal(result.styles!.length, 5)
    const scores = result.styles!.map(({ score }) => score)
    assert.deepEqual(
      scores,
      scores.toSorted((a, b) => b - a),
    )
    assert.match(result.music!.model, /^tiny-random/)
    assert.equal(wav, join(folder, ['red one.wav', 'blue.wav'][index]!))
    const bytes = await readFile(wav)
    assert.ok(bytes.includes(JSON.stringify(result.music!.prompt)), 'it says what it is')
    const { seconds, loudness, ...format } = describeWav(bytes)
    assert.deepEqual(format, { format: 1, channels: 1, rate: 32_000, bits: 16 })
    assert.ok(Math.abs(seconds - 10) <= 0.1, `${seconds} s`)
    assert.ok(loudness > 0.001, `loudness ${loudness}`)
    wavs.push(bytes)
  }
  assert.ok(!wavs[0]!.equals(wavs[1]!))
  assert.match(first.errors, /random weights: the labels and the music mean nothing yet/)
  assert.match(first.errors, /the database is a private one\nDATABASE_URL is set and left alone\n/)

  const again = await demo([paths[0]!])
  // Not `red one-2.wav`: the bytes are those that are there.
  assert.equal(again.lines[0]!.wav, join(folder, 'red one.wav'))
  assert.deepEqual(await leftovers(), [])
})

test('a picture that fails gives its error object and exit status 1, and the others their music', async () => {
  const empty = join(folder, 'empty.jpg')
  const lie = join(folder, '글 +%2F.jpg')
  await writeFile(empty, '')
  await writeFile(lie, 'not a picture')
  const good = await picture('good.webp', '#40a060')
  const { lines, status } = await demo([empty, good, lie, '--out', join(folder, 'out')])
  assert.equal(status, 1)
  assert.deepEqual(
    lines.map(({ key, status, error, wav }) => ({ key, status, code: error?.code, wav })),
    [
      { key: 'uploads/empty.jpg', status: 'failed', code: 'IMAGE_EMPTY', wav: undefined },
      { key: 'uploads/good.webp', status: 'succeeded', code: undefined, wav: join(folder, 'out/good.wav') },
      { key: 'uploads/글 +%2F.jpg', status: 'failed', code: 'IMAGE_UNSUPPORTED_TYPE', wav: undefined },
    ],
  )
  assert.deepEqual(await leftovers(), [])
})

test('a mistake of the user is one line on standard error and exit status 2', async () => {
  const cases = [
    ['--nope'],
    [join(folder, 'missing.jpg')],
    [folder],
    [''],
    ['--timeout', 'soon'],
    ['--out', '/dev/null'],
  ]
  for (const args of cases) {
    const { out, errors, status } = await demo(args)
    assert.deepEqual({ out, lines: errors.trimEnd().split('\n').length, status }, { out: '', lines: 1, status: 2 })
  }
})

test('paths are meant from the folder in which npm was called', async () => {
  const { errors, status } = await demo(['missing.jpg'], { INIT_CWD: folder })
  assert.equal(status, 2)
  assert.ok(errors.startsWith(`${join(folder, 'missing.jpg')}: `), errors)
})

test('bad settings are told together, and before anything is started', async () => {
  const path = await picture('settings.png', '#101010')
  for (const [settings, said] of [
    [{ BATCH_SIZE: '0', MUSIC_SECONDS: '99' }, /MUSIC_SECONDS must be.*\n.*BATCH_SIZE must be/],
    [{ EXECUTION_PROVIDERS: 'foo' }, /EXECUTION_PROVIDERS must/],
    [{ PROMPT_FILE: join(folder, 'none.json') }, /PROMPT_FILE cannot be read \(no such file or folder\)/],
    [{ MUSIC_MODEL: 'nope' }, /'nope' is invalid.*tiny-random-musicgen/],
  ] as const) {
    const { out, errors, status } = await demo([path], settings)
    assert.deepEqual({ out, status }, { out: '', status: 2 }, errors)
    assert.match(errors, said)
    assert.doesNotMatch(errors, /starting|\n {4}at /)
  }
})

test('music that cannot be written costs no other picture its own', async () => {
  await mkdir(join(folder, 'gone'))
  const paths = [await picture('gone/lost.png', '#102030'), await picture('kept.png', '#302010')]
  const child = startDemo(paths)
  const [out, errors, [status]] = await Promise.all([
    text(child.stdout),
    readUntil(child.stderr, 'lost.png: ').then(async (before) => {
      await rm(join(folder, 'gone'), { recursive: true })
      return before + (await text(child.stderr))
    }),
    once(child, 'exit'),
  ])
  const lines = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(
    lines.map(({ status, wav }) => ({ status, wav })),
    [
      { status: 'succeeded', wav: undefined },
      { status: 'succeeded', wav: join(folder, 'kept.wav') },
    ],
  )
  assert.match(errors, /lost\.wav: the music could not be written \(no such file or folder\)\n/)
  assert.match(errors, /^1 of 2 pictures have their music/m)
  assert.equal(status, 1)
})

test('when the database server dies, what was done by then is printed and the reason told', async () => {
  // More than are in work at once: whichever is first done, the last are not even uploaded when the first is printed.
  const pictures = await manyPictures('died.png', 48)
  const child = startDemo(pictures)
  const exit = once(child, 'exit')
  const said = text(child.stderr)
  let out = ''
  for await (const chunk of child.stdout) {
    if (out === '') process.kill(await databaseServerUnder(child.pid!), 'SIGKILL')
    out += chunk
  }
  const lines = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.ok(lines.length < pictures.length)
  for (const { status, wav } of lines) assert.deepEqual([status, typeof wav], ['succeeded', 'string'])
  const errors = await said
  assert.match(errors, /^the database server ended: SIGKILL; its log ends with:$/m)
  assert.doesNotMatch(errors, /no result|\n {4}at /)
  assert.deepEqual(await exit, [1, null])
  assert.deepEqual(await leftovers(), [])
})

test('when nobody reads its output any more, it stops without a word and leaves nothing', async () => {
  const child = startDemo(await manyPictures('unread.png'))
  child.stdout.destroy()
  const [errors, [status]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  assert.equal(status, 141)
  assert.doesNotMatch(errors, /EPIPE|\n {4}at |have their music/)
  assert.deepEqual(await leftovers(), [])
})

for (const [browser, names, view, status] of [
  ['a browser', ['글 one.jpg'], 'results/uploads/%EA%B8%80%20one.jpg', 0],
  ['no browser', ['one.png', 'empty.png'], 'gallery', 1],
] as const) {
  test(`--open shows the ${view} in ${browser}, and goes on until it is interrupted`, async () => {
    const opened = await mkdtemp(join(tmpdir(), 'promenade-test-'))
    try {
      const script = join(opened, 'browser')
      if (browser === 'a browser') await writeFile(script, `#!/bin/sh\necho "$1" > ${opened}/address`, { mode: 0o755 })
      const pictures = await Promise.all(names.map((name) => picture(name, '#405060')))
      if (pictures[1]) await writeFile(pictures[1], '')
      const desktop = { DISPLAY: '', WAYLAND_DISPLAY: '', XDG_CURRENT_DESKTOP: '', DESKTOP_SESSION: '' }
      const child = startDemo(['--open', ...pictures], { ...desktop, BROWSER: script })
      const exit = once(child, 'exit')
      const out = text(child.stdout)
      const errors = await readUntil(child.stderr, browser === 'a browser' ? 'Ctrl-C' : 'no browser')
      const [, address = '', origin = ''] = errors.match(/^showing ((http:.*?)\/#.*) until Ctrl-C$/m) ?? []
      assert.equal(address, `${origin}/#/${view}`)
      if (browser === 'a browser') assert.equal(await textOf(join(opened, 'address')), `${address}\n`)
      const descendants = await processesUnder(child.pid!)
      assert.match(await (await fetch(address)).text(), /^<!doctype html>/i)
      const { results } = JSON.parse(await (await fetch(`${origin}/v1/results`)).text())
      assert.equal(results.length, names.length)
      // As it may come, from the terminal and from npm.
      child.kill('SIGINT')
      child.kill('SIGINT')
      assert.deepEqual(await exit, [status, null])
      assert.equal((await out).trimEnd().split('\n').length, names.length)
      await expectNothingLeft(descendants)
    } finally {
      await rm(opened, { recursive: true })
    }
  })
}

test('--help explains itself and exits 0', async () => {
  const child = startDemo(['--help'])
  const [out, errors, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  assert.match(out, /--out <folder>/)
  assert.deepEqual({ errors, status }, { errors: '', status: 0 })
})

for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGKILL', null],
] as const) {
  test(`${signal} in the middle leaves nothing running and no folder`, async () => {
    // Far more work than is done until the signal comes.
    const child = startDemo(await manyPictures(`${signal}.png`), { MUSIC_SECONDS: '30' })
    await readUntil(child.stderr, 'queued')
    const descendants = await processesUnder(child.pid!)
    assert.ok(descendants.length >= 6, 'the guards, the database server, the consumer and the API')
    child.kill(signal)
    const [exit] = await once(child, 'exit')
    assert.equal(exit, status)
    await expectNothingLeft(descendants)
  })
}

/** The last of it may end a moment later. */
async function expectNothingLeft(descendants: number[]): Promise<void> {
  const deadline = Date.now() + waitMilliseconds
  for (;;) {
    const left = descendants.filter(isRunning)
    const folders = await leftovers()
    if (left.length === 0 && folders.length === 0) return
    assert.ok(Date.now() < deadline, `processes ${left}, folders ${folders}`)
    await sleep(50)
  }
}

async function manyPictures(name: string, count = 16): Promise<string[]> {
  return Array<string>(count).fill(await picture(name, '#808080'))
}

/** What the stream says up to where `wanted` is in it; the rest is for the next reader. */
async function readUntil(stream: Readable, wanted: string): Promise<string> {
  let said = ''
  for await (const [chunk] of on(stream, 'data', { close: ['end'] })) {
    said += chunk
    if (said.includes(wanted)) return said
  }
  throw new Error(`"${wanted}" was not said: ${said}`)
}

async function processesUnder(ancestor: number): Promise<number[]> {
  const all = (await processTable()).map(([pid, ppid]) => [Number(pid), Number(ppid)])
  const found = [ancestor]
  for (const parent of found) found.push(...all.filter(([, ppid]) => ppid === parent).map(([pid]) => pid!))
  return found.slice(1)
}

async function databaseServerUnder(ancestor: number): Promise<number> {
  const descendants = await processesUnder(ancestor)
  const servers = (await processTable()).filter(
    ([pid, , name]) => descendants.includes(Number(pid)) && /^mariadbd/.test(name!),
  )
  assert.equal(servers.length, 1)
  return Number(servers[0]![0])
}

/** As soon as there is something in it. */
async function textOf(file: string): Promise<string> {
  const deadline = Date.now() + waitMilliseconds
  for (;;) {
    const found = await readFile(file, 'utf8').catch(() => '')
    if (found) return found
    assert.ok(Date.now() < deadline, `${file} is not written`)
    await sleep(50)
  }
}

/** [pid, parent's pid, name] of each. */
async function processTable(): Promise<string[][]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,comm='])
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
}
