import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { readReceipt } from '../../../../services/models/checkpoint-store.ts'
import { isPulled, pullCheckpoint } from '../../../../services/models/hub/pull-checkpoint.ts'
import { createRepository } from '../../../../services/models/hub/repository.ts'
import { type FakeRepository, type Fault, startFakeHub } from '../../../fake-hub.ts'

const root = mkdtempSync(join(tmpdir(), 'pull-'))
after(() => rmSync(root, { recursive: true }))

const weights = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 8)) % 256))
const files = { 'config.json': Buffer.from('{"a":1}'), 'model.safetensors': weights, 'README.md': Buffer.from('no') }
const commit = 'a'.repeat(40)
const other = 'b'.repeat(40)
const whole = ['config.json', 'model.safetensors', 'pulled.json']

const repository = (change: Partial<FakeRepository> = {}): FakeRepository => ({
  name: 'owner/model',
  commits: { [commit]: files },
  refs: { main: commit },
  ...change,
})

let folders = 0
const folder = () => join(root, String(folders++))

async function pull(
  dir: string,
  options: {
    repository?: FakeRepository
    faults?: Fault[]
    revision?: string
    token?: string
    required?: string[]
    signal?: AbortSignal
    onAdvance?: (bytes: number) => void
  } = {},
) {
  const hub = await startFakeHub(options.repository ?? repository(), options.faults)
  const notes: string[] = []
  try {
    const { endpoint } = hub
    const receipt = await pullCheckpoint(
      createRepository('owner/model', { endpoint, token: options.token, silenceMilliseconds: 300 }),
      {
        revision: options.revision ?? 'main',
        required: options.required ?? ['config.json'],
        dir,
        signal: options.signal ?? new AbortController().signal,
        retryDelayMilliseconds: 1,
        progress: {
          start: () => {},
          advance: (bytes) => options.onAdvance?.(bytes),
          note: (message) => notes.push(message),
        },
      },
    )
    return { receipt, notes, requests: hub.requests }
  } finally {
    await hub.close()
  }
}

/** Stops a pull when so many bytes of the weights are there. */
async function interrupt(dir: string, bytes: number): Promise<void> {
  const { signal, abort } = abortable()
  const onAdvance = (found: number) => {
    if (found >= bytes) abort()
  }
  await assert.rejects(pull(dir, { signal, onAdvance, faults: [{ silentAfter: bytes }] }), /^Error: stopped$/)
}

/** The beginning of the weights, as `owner` would have left it. */
function leave(dir: string, owner: string, bytes: number): string {
  mkdirSync(dir)
  const digest = createHash('sha256').update(weights).digest('hex').slice(0, 12)
  const path = join(dir, `model.safetensors.${digest}.partial-${owner}-0123abcd`)
  writeFileSync(path, weights.subarray(0, bytes))
  return path
}

function abortable() {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort(new Error('stopped')) }
}

describe('pulling a checkpoint', () => {
  it('brings the needed files, and writes down the commit', async () => {
    const dir = folder()
    const { receipt, notes, requests } = await pull(dir)
    assert.deepEqual(readdirSync(dir).sort(), whole)
    assert.deepEqual(readFileSync(join(dir, 'model.safetensors')), weights)
    assert.equal(receipt.revision, commit)
    assert.equal(receipt.requested, 'main')
    assert.match(receipt.files['config.json']!.digest, /^git-sha1:/)
    assert.match(receipt.files['model.safetensors']!.digest, /^sha256:/)
    assert.deepEqual(readReceipt(dir), receipt)
    assert.deepEqual(notes, [])
    assert.equal(requests.length, 2)
    assert.ok(isPulled(dir, { repository: 'owner/model', revision: 'main' }))
    assert.ok(isPulled(dir, { repository: 'owner/model', revision: commit }))
    assert.ok(!isPulled(dir, { repository: 'owner/model', revision: other }))
    rmSync(join(dir, 'config.json'))
    assert.ok(!isPulled(dir, { repository: 'owner/model', revision: commit }))
  })

  it('takes shards and their index', async () => {
    const dir = folder()
    const sharded = {
      'config.json': files['config.json'],
      'model.safetensors.index.json': Buffer.from('{}'),
      'model-00001-of-00002.safetensors': weights,
      'model-00002-of-00002.safetensors': weights.subarray(5),
      'pytorch_model.bin': weights,
    }
    await pull(dir, { repository: repository({ commits: { [commit]: sharded } }) })
    const { 'pytorch_model.bin': _, ...wanted } = sharded
    assert.deepEqual(readdirSync(dir).sort(), [...Object.keys(wanted), 'pulled.json'].sort())
  })

  it('goes on after breaks, silences and errors from where it was', async () => {
    const dir = folder()
    const faults = [{ cutAfter: 100_000 }, { silentAfter: 50_000 }, { status: 503 }, { ignoreRange: true } as const]
    const { notes, requests } = await pull(dir, { faults })
    assert.deepEqual(readFileSync(join(dir, 'model.safetensors')), weights)
    const ranges = requests.filter(({ path }) => path === 'model.safetensors').map(({ range }) => range)
    assert.equal(ranges.length, 5)
    assert.equal(ranges[0], undefined)
    assert.match(ranges[1]!, /^bytes=[1-9]\d*-299999$/)
    assert.match(notes[1]!, /model\.safetensors: .*no answer within 0\.3 s; trying again/)
    assert.match(notes[2]!, /failed: status 503, expected 206; trying again$/)
    assert.match(notes[3]!, /failed: status 200, expected 206; trying again$/)
  })

  it('gives up after five attempts in vain, and keeps what it has', async () => {
    const dir = folder()
    await assert.rejects(
      pull(dir, { faults: [{ cutAfter: 1000 }, ...Array(9).fill({ status: 500 })] }),
      /model\.safeten/,
    )
    const [, partial] = readdirSync(dir).sort()
    assert.match(partial!, /^model\.safetensors\.[0-9a-f]{12}\.partial-.+-\d+-[0-9a-f]{8}$/)
    assert.equal(readReceipt(dir), undefined)
  })

  it('goes on after an interrupt with a request for the rest', async () => {
    const dir = folder()
    await interrupt(dir, 200_000)
    const { requests } = await pull(dir)
    const [rest] = requests.filter(({ path }) => path === 'model.safetensors')
    assert.equal(rest!.range, 'bytes=200000-299999')
    assert.deepEqual(readdirSync(dir).sort(), whole)
    assert.deepEqual(readFileSync(join(dir, 'model.safetensors')), weights)
  })

  it('goes on with what a dead process has left, of this machine at once, of another when nobody writes it', async () => {
    const { pid } = spawnSync('true')
    for (const owner of [`${hostname()}-${pid}`, `another.host-${process.pid}`, String(process.pid)]) {
      const dir = folder()
      const left = leave(dir, owner, 200_000)
      if (!owner.startsWith(hostname())) {
        await assert.rejects(pull(dir), /safetensors is being fetched by .* already; wait for it, or stop it$/)
        assert.deepEqual(readFileSync(left), weights.subarray(0, 200_000))
        utimesSync(left, 0, Date.now() / 1000 - 31)
      }
      const { requests } = await pull(dir)
      const [rest] = requests.filter(({ path }) => path === 'model.safetensors')
      assert.equal(rest!.range, 'bytes=200000-299999')
      assert.deepEqual(readdirSync(dir).sort(), whole)
      assert.deepEqual(readFileSync(join(dir, 'model.safetensors')), weights)
    }
  })

  it('takes no file from another pull that is alive, in another process or in this', async () => {
    const dir = folder()
    const left = leave(dir, `${hostname()}-${process.ppid}`, 200_000)
    await assert.rejects(pull(dir), new RegExp(`is being fetched by ${hostname()}-${process.ppid} already`))
    rmSync(left)
    const { signal, abort } = abortable()
    let second: Promise<unknown> | undefined
    const onAdvance = (bytes: number) => {
      if (bytes === 100_000) second ??= assert.rejects(pull(dir), /is being fetched by .* already/).finally(abort)
    }
    await assert.rejects(pull(dir, { signal, onAdvance, faults: [{ silentAfter: 100_000 }] }), /^Error: stopped$/)
    await second
    await pull(dir)
    assert.deepEqual(readFileSync(join(dir, 'model.safetensors')), weights)
  })

  it('keeps nothing that another process has written into', async () => {
    const dir = folder()
    const onAdvance = (bytes: number) => {
      if (bytes === 100_000)
        appendFileSync(join(dir, readdirSync(dir).find((name) => name.includes('.partial-'))!), 'x')
    }
    await assert.rejects(pull(dir, { onAdvance, faults: [{ cutAfter: 100_000 }] }), /was changed by another process/)
    await pull(dir)
    assert.deepEqual(readdirSync(dir).sort(), whole)
    assert.deepEqual(readFileSync(join(dir, 'model.safetensors')), weights)
  })

  it('fetches anew what an earlier pull has left in a bad state', async () => {
    const dir = folder()
    await interrupt(dir, 200_000)
    const partial = readdirSync(dir).find((name) => name.includes('.partial-'))!
    writeFileSync(join(dir, partial), Buffer.alloc(200_000))
    await pull(dir)
    assert.deepEqual(readFileSync(join(dir, 'model.safetensors')), weights)
    writeFileSync(join(dir, 'model.safetensors'), Buffer.alloc(weights.length))
    await pull(dir)
    assert.deepEqual(readFileSync(join(dir, 'model.safetensors')), weights)
  })

  it('keeps nothing of a file whose digest is wrong, and names both', async () => {
    const dir = folder()
    const wrong = repository()
    const hub = await startFakeHub(wrong)
    const lying = createRepository('owner/model', { endpoint: hub.endpoint, silenceMilliseconds: 300 })
    const { resolve } = lying
    lying.resolve = async (...args) => {
      const { files: found, ...rest } = await resolve(...args)
      const digest = { algorithm: 'sha256', hex: 'c'.repeat(64) } as const
      return { ...rest, files: found.map((file) => (file.bytes > 1000 ? { ...file, digest } : file)) }
    }
    const { signal } = new AbortController()
    const progress = { start: () => {}, advance: () => {}, note: () => {} }
    const options = { revision: 'main', required: [], dir, signal, retryDelayMilliseconds: 1, progress }
    await assert.rejects(
      pullCheckpoint(lying, options),
      /model\.safetensors: SHA-256 is [0-9a-f]{64}, expected c{64}: not kept/,
    )
    await hub.close()
    assert.deepEqual(readdirSync(dir), [])
  })

  it('says what is missing', async () => {
    const missing = pull(folder(), { required: ['config.json', 'tokenizer.json'] })
    await assert.rejects(missing, /owner\/model at main: expected tokenizer\.json, found config\.json, model\.safeten/)
    await assert.rejects(pull(folder(), { revision: 'gone' }), /owner\/model at gone: not found at http/)
  })

  it('names the pull request that has safetensors when the revision has none', async () => {
    const pickled = { 'config.json': files['config.json'], 'pytorch_model.bin': weights }
    const commits = { [commit]: pickled, [other]: files }
    const converted = pull(folder(), {
      repository: repository({ commits, refs: { main: commit, 'refs/pr/7': other } }),
    })
    await assert.rejects(
      converted,
      /expected model\.safetensors, found pytorch_model\.bin\. The pull request refs\/pr\/7 has it.*--revision b{40}$/,
    )
    const none = pull(folder(), { repository: repository({ commits: { [commit]: pickled } }) })
    await assert.rejects(none, /found pytorch_model\.bin\. No recent pull request has it: convert/)
    const { receipt } = await pull(folder(), {
      repository: repository({ commits, refs: { 'refs/pr/7': other } }),
      revision: 'refs/pr/7',
    })
    assert.equal(receipt.revision, other)
  })

  it('asks for a token where there must be one, and never shows it', async () => {
    const gated = repository({ token: 'hf_secret' })
    await assert.rejects(pull(folder(), { repository: gated }), /status 401: .*accept its terms.*set HF_TOKEN$/)
    await assert.rejects(
      pull(folder(), { repository: gated, token: 'hf_other' }),
      (error: Error) =>
        /the token in HF_TOKEN has no access/.test(error.message) && !error.message.includes('hf_other'),
    )
    const dir = folder()
    const { receipt } = await pull(dir, { repository: gated, token: 'hf_secret' })
    assert.ok(!JSON.stringify(receipt).includes('hf_secret'))
  })

  it('removes what another revision had, and files that are no longer needed', async () => {
    const dir = folder()
    await pull(dir)
    const newer = { ...files, 'config.json': Buffer.from('{"a":2}'), 'model.safetensors': weights.subarray(1) }
    writeFileSync(join(dir, 'model-00001-of-00002.safetensors'), '')
    await pull(dir, { repository: repository({ commits: { [other]: newer }, refs: { main: other } }) })
    assert.deepEqual(readdirSync(dir).sort(), whole)
    assert.equal(readReceipt(dir)!.revision, other)
  })

  it('refuses before it begins when the disk has too little room', async () => {
    const hub = await startFakeHub(repository())
    const huge = createRepository('owner/model', { endpoint: hub.endpoint, silenceMilliseconds: 300 })
    const { resolve } = huge
    huge.resolve = async (...args) => {
      const { files: found, ...rest } = await resolve(...args)
      return { ...rest, files: found.map((file) => ({ ...file, bytes: 2 ** 52 })) }
    }
    const { signal } = new AbortController()
    const progress = { start: () => {}, advance: () => {}, note: () => {} }
    const dir = folder()
    const options = { revision: 'main', required: [], dir, signal, retryDelayMilliseconds: 1, progress }
    await assert.rejects(pullCheckpoint(huge, options), /needs 4503\.60 TB, but the disk has .* free/)
    await hub.close()
    assert.deepEqual(readdirSync(dir), [])
  })
})
