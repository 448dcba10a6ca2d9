import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { catalogue } from '../../../services/models/catalogue.ts'
import { copyCheckpoint } from '../../../services/models/copy-checkpoint.ts'
import { writeTinyMusicgen } from '../../../services/models/musicgen/tiny.ts'
import { type Fault, startFakeHub } from '../../fake-hub.ts'
import { until } from '../../until.ts'

const root = mkdtempSync(join(tmpdir(), 'models-pull-'))
after(() => rmSync(root, { recursive: true }))

const main = new URL('../../../services/models/main.ts', import.meta.url).pathname
const { repository, revision } = catalogue['musicgen-small'].source
const checkpoint = join(root, 'checkpoint')
/** Not the tokenizer_config.json, which is not needed. */
const pulled = ['config.json', 'generation_config.json', 'model.safetensors', 'pulled.json', 'tokenizer.json']

interface Ended {
  status: number
  out: string
  err: string
}

function start(args: string[], env: Record<string, string> = {}, script = 'exec "$0" "$@"') {
  const { HF_TOKEN: _, HF_HUB_OFFLINE: __, ...inherited } = process.env
  const stdio = ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe']
  const options = { stdio, env: { ...inherited, ...env }, timeout: 60_000 }
  const child = spawn('sh', ['-c', script, process.execPath, main, ...args], options)
  const closed = new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? -1)))
  const ended = Promise.all([closed, text(child.stdout), text(child.stderr)]).then(([status, out, err]) => ({
    status,
    out,
    err,
  }))
  return { child, ended: ended as Promise<Ended> }
}

const run = (...args: string[]) => start(args).ended

async function withHub<T>(work: (env: Record<string, string>) => Promise<T>, faults: Fault[] = [], token?: string) {
  const files = Object.fromEntries(readdirSync(checkpoint).map((name) => [name, readFileSync(join(checkpoint, name))]))
  const commits = { [revision]: files }
  const hub = await startFakeHub({ name: repository, commits, refs: {}, ...(token && { token }) }, faults)
  try {
    return await work({ HF_ENDPOINT: hub.endpoint })
  } finally {
    await hub.close()
  }
}

/** The bytes of the weights that are there so far. */
function partials(dir: string): number[] {
  return readdirSync(dir)
    .filter((name) => name.includes('.partial-'))
    .map((name) => readFileSync(join(dir, name)).length)
}

describe('npm run models -- pull, then build', () => {
  before(() => writeTinyMusicgen(checkpoint, { seed: 1 }))

  it('takes a checkpoint from the hub to a built model', async () => {
    const dir = join(root, 'whole')
    const unready = await run('build', 'musicgen-small', '--dir', dir)
    assert.equal(unready.status, 1)
    assert.match(unready.err, /^musicgen-small: .*; run: npm run models -- pull musicgen-small --dir .*\n$/)

    const { status, out, err } = await withHub((env) => start(['pull', 'musicgen-small', '--dir', dir], env).ended)
    assert.equal(status, 0, err)
    assert.equal(out, `musicgen-small: pulled to ${dir}/.checkpoints/musicgen-small at commit ${revision}\n`)
    assert.match(err, /^musicgen-small: facebook\/musicgen-small at \w{40}, license CC-BY-NC-4\.0\n/)
    assert.match(err, /\nmodel\.safetensors: 100%\n/)
    assert.deepEqual(readdirSync(join(dir, '.checkpoints', 'musicgen-small')).sort(), pulled)
    // Needs no hub any more.
    const env = { HF_HUB_OFFLINE: '1', HF_ENDPOINT: 'http://127.0.0.1:9' }
    assert.match((await start(['pull', 'musicgen-small', '--dir', dir], env).ended).out, /already pulled to/)
    assert.match((await run('list', '--dir', dir)).out, /^musicgen-small .* int8 .* pulled, not built /m)

    const built = await run('build', 'musicgen-small', 'musicgen-small-fp32', '--dir', dir)
    assert.equal(built.status, 0, built.err)
    assert.deepEqual(readdirSync(dir).sort(), ['.checkpoints', 'musicgen-small', 'musicgen-small-fp32'])
    const manifest = JSON.parse(readFileSync(join(dir, 'musicgen-small-fp32', 'manifest.json'), 'utf8'))
    assert.deepEqual(manifest.source, { repository, revision, generated: false })
    assert.deepEqual([manifest.name, manifest.precision], ['musicgen-small-fp32', 'fp32'])
    const again = await run('build', 'musicgen-small', '--precision', 'fp32', '--dir', dir)
    assert.match(again.out, /^musicgen-small-fp32: already built in/)
    assert.equal((await run('verify', 'musicgen-small', 'musicgen-small-fp32', '--dir', dir)).status, 0)
    const listed = await run('list', '--dir', dir)
    assert.match(listed.out, /^musicgen-small +musicgen +int8 +CC-BY-NC-4\.0 +[\d.]+ MB +built +facebook/m)
    assert.match(listed.out, /^musicgen-small-fp32 .* built /m)

    rmSync(join(dir, '.checkpoints'), { recursive: true })
    assert.match((await run('build', 'musicgen-small', '--dir', dir)).out, /already built/)
  })

  it('goes on after an interrupt, and after being killed', async () => {
    const dir = join(root, 'interrupted')
    const folder = join(dir, '.checkpoints', 'musicgen-small')
    const stages = [
      ['SIGINT', 100_000],
      ['SIGKILL', 150_000],
    ] as const
    let bytes = 0
    for (const [signal, silentAfter] of stages) {
      await withHub(
        async (env) => {
          const { child, ended } = start(['pull', 'musicgen-small', '--dir', dir], env)
          bytes += silentAfter
          const there = () => partials(folder).includes(bytes)
          await until(() => readdirSync(root).includes('interrupted') && readdirSync(dir).length > 0)
          await until(there)
          child.kill(signal)
          const { status, err } = await ended
          if (signal === 'SIGINT') {
            assert.equal(status, 1)
            assert.match(err, /SIGINT: the same command goes on from here\n$/)
          }
        },
        [{ silentAfter }],
      )
      assert.deepEqual(partials(folder), [bytes])
    }
    const { status, err } = await withHub((env) => start(['pull', 'musicgen-small', '--dir', dir], env).ended)
    assert.equal(status, 0, err)
    assert.deepEqual(readdirSync(folder).sort(), pulled)
  })

  it('says when the disk does not take it, and goes on when it does', async () => {
    const dir = join(root, 'full')
    const args = ['pull', 'musicgen-small', '--dir', dir]
    const limited = (env: Record<string, string>) => start(args, env, 'ulimit -f 200; exec "$0" "$@"').ended
    const { status, err } = await withHub(limited)
    assert.equal(status, 1)
    assert.match(
      err,
      /\/model\.safetensors\.\w+\.partial-.+-\d+-\w{8}: cannot be written after \d+ bytes: EFBIG: .*\n$/,
    )
    const folder = join(dir, '.checkpoints', 'musicgen-small')
    const [bytes] = partials(folder)
    assert.ok(bytes! > 0)
    assert.equal((await withHub((env) => start(args, env).ended)).status, 0)
    assert.deepEqual(readdirSync(folder).sort(), pulled)
  })

  it('does no harm when two pull at once', async () => {
    const dir = join(root, 'twice')
    const ended = await withHub((env) =>
      Promise.all([1, 2].map(() => start(['pull', 'musicgen-small', '--dir', dir], env).ended)),
    )
    for (const { status, err } of ended) {
      if (status !== 0) assert.match(err, /is being fetched by .+-\d+ already; wait for it, or stop it\n$/)
    }
    assert.ok(ended.some(({ status }) => status === 0))
    const folder = join(dir, '.checkpoints', 'musicgen-small')
    assert.deepEqual(readdirSync(folder).sort(), pulled)
    assert.deepEqual(
      readFileSync(join(folder, 'model.safetensors')),
      readFileSync(join(checkpoint, 'model.safetensors')),
    )
  })

  it('keeps the token to itself', async () => {
    const token = 'hf_secretsecret'
    const pull = (env: Record<string, string>, name: string) =>
      start(['pull', 'musicgen-small', '--dir', join(root, name)], env).ended
    const refused = await withHub((env) => pull({ ...env, HF_TOKEN: 'hf_wrongwrong' }, 'refused'), [], token)
    assert.equal(refused.status, 1)
    assert.match(refused.err, /the token in HF_TOKEN has no access to it; check HF_TOKEN, or accept its terms/)
    const taken = await withHub((env) => pull({ ...env, HF_TOKEN: ` ${token}\n` }, 'taken'), [], token)
    assert.equal(taken.status, 0, taken.err)
    for (const { out, err } of [refused, taken]) assert.doesNotMatch(out + err, /wrongwrong|secretsecret/)
  })

  it('refuses a malformed token without showing it', async () => {
    const expected = 'HF_TOKEN: expected hf_ and then letters, digits, _ or -; found something else, not shown here\n'
    for (const HF_TOKEN of ['wrongwrong', 'hf_', 'hf_wrong\nwrong', 'hf_wrong wrong', 'hf_wröngwrong']) {
      const args = ['pull', 'musicgen-small', '--dir', join(root, 'malformed')]
      const { status, out, err } = await start(args, { HF_ENDPOINT: 'http://127.0.0.1:9', HF_TOKEN }).ended
      assert.deepEqual([status, out, err], [2, '', expected])
    }
  })

  it('refuses a hub that is no URL or has a secret in it, without showing it', async () => {
    const expected =
      'HF_ENDPOINT: expected an http or https URL without user name, password, query and fragment; found '
    const refused = {
      'hub.example': 'something else, not shown here',
      'ftp://hub.example': 'something else, not shown here',
      'http://user:s3cret@bad host': 'something else, not shown here',
      'user:s3cret@hub.example': 'something else, not shown here',
      'http://user:s3cret@127.0.0.1:9': 'one with them, not shown here',
      'https://s3cret@127.0.0.1:9/': 'one with them, not shown here',
      'https://:s3cret@127.0.0.1:9': 'one with them, not shown here',
      'https://127.0.0.1:9/?token=s3cret': 'one with them, not shown here',
      'https://127.0.0.1:9/#s3cret': 'one with them, not shown here',
    }
    for (const [HF_ENDPOINT, found] of Object.entries(refused)) {
      const args = ['pull', 'musicgen-small', '--dir', join(root, 'nowhere')]
      const { status, out, err } = await start(args, { HF_ENDPOINT }).ended
      assert.deepEqual([status, out, err], [2, '', `${expected}${found}\n`])
    }
  })

  it('fetches nothing when it is told not to', async () => {
    const args = ['pull', 'musicgen-small', '--dir', join(root, 'offline')]
    const { status, err } = await start(args, { HF_HUB_OFFLINE: '1' }).ended
    assert.equal(status, 1)
    assert.match(err, /^musicgen-small: is not in .*, and HF_HUB_OFFLINE is set; unset it, or name .* with --from\n$/)
  })

  it('copies no further than until it is interrupted', async () => {
    const dir = join(root, 'interrupted-copy')
    const large = join(root, 'large')
    cpSync(checkpoint, large, { recursive: true })
    // A pipe that gives nothing: its copy cannot end by itself, however fast the disk.
    execFileSync('mkfifo', [join(large, 'large.json')])
    const pipe = openSync(join(large, 'large.json'), 'r+')
    const interrupt = new AbortController()
    const copied = copyCheckpoint(large, dir, { required: ['config.json', 'large.json'], signal: interrupt.signal })
    await until(() => readdirSync(dir).some((name) => name.startsWith('.large.json.')))
    interrupt.abort(new Error('enough'))
    // Lets the read end that waits for the pipe.
    closeSync(pipe)
    await assert.rejects(copied, /enough/)
    assert.deepEqual(readdirSync(dir), ['config.json'])
  })

  it('takes a local folder in place of the hub', async () => {
    const dir = join(root, 'local')
    const built = await run('build', 'musicgen-small', '--from', checkpoint, '--dir', dir)
    assert.equal(built.status, 0, built.err)
    assert.deepEqual(readdirSync(dir), ['musicgen-small'])
    const manifest = JSON.parse(readFileSync(join(dir, 'musicgen-small', 'manifest.json'), 'utf8'))
    assert.deepEqual(manifest.source, { repository: `folder ${checkpoint}`, revision: 'unknown', generated: false })

    const copied = await run('pull', 'musicgen-medium', '--from', checkpoint, '--dir', dir)
    assert.equal(copied.status, 0, copied.err)
    assert.deepEqual(readdirSync(join(dir, '.checkpoints', 'musicgen-medium')).sort(), pulled)
    assert.equal((await run('build', 'musicgen-medium', '--dir', dir)).status, 0)

    writeFileSync(join(dir, '.checkpoints', 'musicgen-medium', 'pulled.json'), '{')
    assert.equal((await run('list', '--dir', dir)).status, 0)
    assert.match((await run('pull', 'musicgen-medium', '--from', checkpoint, '--dir', dir)).out, /: copied to /)

    const receipt = join(dir, '.checkpoints', 'musicgen-medium', 'pulled.json')
    rmSync(receipt)
    mkdirSync(receipt)
    assert.match((await run('list', '--dir', dir)).err, /pulled\.json: cannot be read: EISDIR/)
    rmSync(receipt, { recursive: true })

    const pickled = join(root, 'pickled')
    mkdirSync(pickled)
    for (const name of ['config.json', 'tokenizer.json', 'generation_config.json']) {
      cpSync(join(checkpoint, name), join(pickled, name))
    }
    writeFileSync(join(pickled, 'pytorch_model.bin'), '')
    for (const command of ['pull', 'build']) {
      const refused = await run(command, 'musicgen-large', '--from', pickled, '--dir', dir)
      assert.equal(refused.status, 1)
      assert.match(refused.err, /expected model\.safetensors .*found .*pytorch_model\.bin/)
    }
    const revised = await run('pull', 'musicgen-small', '--from', checkpoint, '--revision', 'main', '--dir', dir)
    assert.deepEqual([revised.status, revised.err], [2, '--revision is of the hub, and --from is a folder\n'])
    const two = await run('build', 'musicgen-small', 'musicgen-large', '--from', checkpoint, '--dir', dir)
    assert.deepEqual([two.status, two.err], [2, '--from is for one model at a time\n'])
    assert.deepEqual(readdirSync(dir).sort(), ['.checkpoints', 'musicgen-medium', 'musicgen-small'])
  })

  it('has nothing to pull for a generated model, and refuses a precision that there is not', async () => {
    assert.match((await run('pull', 'tiny-random-musicgen')).out, /there is nothing to pull\n$/)
    const refused = await run('build', 'tiny-random-clip', '--precision', 'int8')
    assert.deepEqual([refused.status, refused.err], [2, 'tiny-random-clip is built in fp32, not int8\n'])
  })

  it('builds anew what other sources of the builder have made, but large models only when told to', async () => {
    const dir = join(root, 'outdated')
    const age = (name: string) => {
      const path = join(dir, name, 'manifest.json')
      writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), builder: 'another' }))
    }
    await run('build', 'tiny-random-musicgen', '--dir', dir)
    age('tiny-random-musicgen')
    assert.match((await run('build', 'tiny-random-musicgen', '--dir', dir)).out, /: built in .* s\n/)
    await run('build', 'musicgen-small', '--from', checkpoint, '--dir', dir)
    age('musicgen-small')
    assert.match((await run('list', '--dir', dir)).out, /^musicgen-small .* built by an older builder /m)
    const told = await run('build', 'musicgen-small', '--from', checkpoint, '--dir', dir)
    assert.match(told.out, /by an older builder; to build it again, add --force\n$/)
  })
})
