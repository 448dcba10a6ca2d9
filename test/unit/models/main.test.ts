import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, describe, it } from 'node:test'

const root = mkdtempSync(join(tmpdir(), 'models-'))
after(() => rmSync(root, { recursive: true }))

const main = new URL('../../../services/models/main.ts', import.meta.url).pathname
const models = ['tiny-random-musicgen', 'tiny-random-clip']

async function run(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 })
  const closed = new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? -1)))
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { status: await closed, out, err }
}

describe('npm run models', () => {
  it('builds once, says when there is nothing to do, and finds what was changed', async () => {
    const dir = join(root, 'once')
    const built = await run('build', ...models, '--dir', dir)
    assert.equal(built.status, 0, built.err)
    assert.match(built.out, /tiny-random-musicgen: built in .*\n.*tiny-random-clip: built in /)
    assert.deepEqual(readdirSync(dir).sort(), models.toSorted())

    const manifest = join(dir, 'tiny-random-musicgen', 'manifest.json')
    const writtenAt = statSync(manifest).mtimeMs
    const again = await run('build', models[0]!, '--dir', dir)
    assert.match(again.out, /already built/)
    assert.equal(statSync(manifest).mtimeMs, writtenAt)

    assert.equal((await run('verify', ...models, '--dir', dir)).status, 0)
    const listed = await run('list', '--dir', dir)
    assert.equal(listed.out.match(/ built /g)?.length, 2)

    writeFileSync(
      join(dir, models[0]!, 'tokenizer.json'),
      'x'.repeat(statSync(join(dir, models[0]!, 'tokenizer.json')).size),
    )
    const changed = await run('verify', models[0]!, '--dir', dir)
    assert.equal(changed.status, 1)
    assert.match(changed.err, /tokenizer\.json has SHA-256 \w{64}, expected \w{64}\n.*build --force/)

    appendFileSync(join(dir, models[0]!, 'decoder.onnx'), 'x')
    assert.match((await run('verify', models[0]!, '--dir', dir)).err, /decoder\.onnx has \d+ bytes, expected \d+/)
    assert.match((await run('build', models[0]!, '--dir', dir)).out, /: built in/)
    assert.equal((await run('verify', models[0]!, '--dir', dir)).status, 0)
  })

  it('lets two builders work at once', async () => {
    const dir = join(root, 'both')
    const builders = await Promise.all([1, 2].map(() => run('build', ...models, '--dir', dir)))
    assert.deepEqual(
      builders.map(({ status }) => status),
      [0, 0],
    )
    assert.deepEqual(readdirSync(dir).sort(), models.toSorted())
    assert.equal((await run('verify', ...models, '--dir', dir)).status, 0)
  })

  it('says how a model that verify finds missing is built, also one of a folder of yours', async () => {
    const { status, err } = await run('verify', 'musicgen-small', 'ready-made-classifier', '--dir', join(root, 'empty'))
    assert.equal(status, 1)
    assert.match(err, /build --force musicgen-small --dir \S+\n/)
    assert.match(err, /build --force ready-made-classifier --from <folder> --dir \S+\n/)
  })

  it('answers bad usage in a line or two, with status 2', async () => {
    const cases: [string[], RegExp][] = [
      [['build'], /missing required argument 'name'/],
      [['build', 'no-such-model'], /'no-such-model' is invalid.*tiny-random-musicgen, tiny-random-clip/],
      [['build', 'tiny-random-clip-int8'], /'tiny-random-clip-int8' is invalid.*tiny-random-clip is built in fp32\.$/m],
      [['list', '--no-such-option'], /unknown option '--no-such-option'/],
      [['no-such-command'], /unknown command/],
      [['list', '--dir', ''], /--dir needs a folder/],
      [
        ['pull', 'tiny-random-musicgen', '--from', root],
        /tiny-random-musicgen is generated.*nothing to pull.*build --from/,
      ],
    ]
    for (const [args, message] of cases) {
      const { status, out, err } = await run(...args)
      assert.equal(status, 2)
      assert.equal(out, '')
      assert.match(err, message)
      assert.doesNotMatch(err, /\n\s+at /)
    }
  })

  it('answers a failure in one line, with status 1', async () => {
    const file = join(root, 'file')
    writeFileSync(file, '')
    const { status, err } = await run('build', models[0]!, '--dir', file)
    assert.equal(status, 1)
    assert.match(err, /^EEXIST.*\n$/)
    const absent = await run('verify', models[0]!, '--dir', join(root, 'absent'))
    assert.equal(absent.status, 1)
    assert.match(absent.err, /manifest\.json is missing/)
    mkdirSync(join(root, 'odd', models[0]!, 'manifest.json'), { recursive: true })
    const odd = await run('verify', models[0]!, '--dir', join(root, 'odd'))
    assert.match(odd.err, /manifest\.json cannot be read: EISDIR/)
  })

  it('explains itself', async () => {
    for (const args of [['--help'], ['build', '--help']]) {
      const { status, out } = await run(...args)
      assert.equal(status, 0)
      assert.match(out, /Usage: npm run models -- /)
      assert.match(out, /--dir <folder>/)
    }
  })
})
