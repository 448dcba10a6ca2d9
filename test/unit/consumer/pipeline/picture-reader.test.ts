import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { PermanentFailure, RetryableFailure } from '#shared/failure.ts'
import { createPictureReader } from '../../../../services/consumer/pipeline/picture-reader.ts'
import { readPicture } from '../../../../services/consumer/pipeline/read-picture.ts'
import { progressiveJpeg } from '../../../fuzz/hostile-pictures.ts'
import { badPictures, drawPicture, goodPictures } from '../../../picture.ts'
import { createStubInference } from '../../../stub-inference.ts'

const options = { maxPixels: 100_000_000, graphs: createStubInference().classifierManifest.classifier.graphs }
const going = new AbortController().signal
const good = await drawPicture(1).jpeg().toBuffer()
/** A megabyte that takes the best part of a minute. */
const slow = progressiveJpeg({ width: 10_000, height: 10_000, scans: 4_000 })

test('what a picture reads as is the same in a process of its own', async (t) => {
  const { read } = reader(t)
  for (const make of Object.values(goodPictures)) {
    const bytes = await make()
    assert.deepEqual(await read(bytes, going), await readPicture(bytes, options))
  }
})

test('a picture is refused with its code and the reason', async (t) => {
  const { read } = reader(t)
  for (const { make, code } of Object.values(badPictures)) {
    const bytes = await make()
    const refusal = await readPicture(bytes, options).catch((error: Error) => error)
    await assert.rejects(read(bytes, going), (error) => {
      assert.ok(error instanceof PermanentFailure)
      assert.deepEqual([error.code, error.message], [code, (refusal as Error).message])
      return true
    })
  }
})

test('a picture that takes too long is given up, and the next is read', async (t) => {
  const { read } = reader(t, { timeoutSeconds: 2 })
  const next = [read(slow, going), read(good, going)] as const
  await assert.rejects(next[0], lost('IMAGE_CORRUPT', /did not answer within 2 s/))
  assert.equal((await next[1]).views.length, 1)
})

test('a decoder that crashes takes along its picture alone', async (t) => {
  const crash = 'process.on("message", (bytes) => bytes.length > 1e5 && process.kill(process.pid, "SIGKILL"))'
  const { read } = reader(t, { env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(crash)}` } })
  await read(good, going)
  await assert.rejects(read(slow, going), lost('IMAGE_CORRUPT', /ended \(SIGKILL\)/))
  await read(good, going)
})

test('a decoder that has ended between two pictures is nobody’s fault', async (t) => {
  const { read } = reader(t)
  await read(good, going)
  const { stdout: pid } = await promisify(execFile)('pgrep', ['-P', String(process.pid), '-f', 'picture-process'])
  process.kill(Number(pid), 'SIGKILL')
  // Nothing is heard while this thread waits.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
  await assert.rejects(read(good, going), lost('MODEL_UNAVAILABLE', /had ended/))
  await read(good, going)
})

test('whoever waits for a picture can leave at once, before its turn and in it', async (t) => {
  const { read } = reader(t)
  const [inTurn, before] = [new AbortController(), new AbortController()]
  await read(good, going)
  const head = assert.rejects(read(slow, inTurn.signal), /^Error: in its turn$/)
  const waiting = assert.rejects(read(slow, before.signal), /^Error: before its turn$/)
  const last = read(good, going)
  before.abort(new Error('before its turn'))
  await waiting
  inTurn.abort(new Error('in its turn'))
  await head
  await last
  await assert.rejects(read(good, before.signal), /^Error: before its turn$/)
})

test('a decoder that does not start is no fault of the picture', async (t) => {
  const { read } = reader(t, { env: { NODE_OPTIONS: '--import=data:text/javascript,process.exit(3)' } })
  await assert.rejects(read(good, going), lost('MODEL_UNAVAILABLE', /ended \(exit status 3\)/))
  const unstartable = reader(t, { env: { A: '\0' } })
  await assert.rejects(unstartable.read(good, going), lost('MODEL_UNAVAILABLE', /cannot be started: .*null bytes/))
})

test('a decoder for which there are no descriptors fails one try, and the next starts it', async () => {
  const source = new URL('../../../../services/consumer/pipeline/picture-reader.ts', import.meta.url).href
  const script = `
    const { closeSync, openSync } = await import('node:fs')
    const { createPictureReader } = await import('${source}')
    const { read, close } = createPictureReader({ maxPixels: 1e6, graphs: [], env: {} })
    const say = () => read(Buffer.alloc(0), new AbortController().signal).catch(({ code, message }) => console.log(code, message))
    const files = []
    try { for (;;) files.push(openSync('/dev/null')) } catch {}
    await Promise.all([say(), say()])
    for (const file of files) closeSync(file)
    await say()
    close()`
  const limited = ['-c', 'ulimit -n 256 && exec "$0" "$@"', process.execPath]
  const { stdout } = await promisify(execFile)('sh', [...limited, '--eval', script])
  const failed = /MODEL_UNAVAILABLE The decoder of pictures cannot be used: spawn .* EMFILE\n/.source
  assert.match(stdout, new RegExp(`^${failed}${failed}IMAGE_EMPTY The file has no bytes\n$`))
})

test('what is owed when the reader is closed fails', async (t) => {
  const { read, close } = reader(t)
  await read(good, going)
  const owed = read(slow, going)
  setImmediate(close)
  await assert.rejects(owed, lost('IMAGE_CORRUPT', /SIGKILL/))
  await assert.rejects(read(good, going), lost('MODEL_UNAVAILABLE', /closed/))
})

function reader(t: TestContext, more: { timeoutSeconds?: number; env?: NodeJS.ProcessEnv } = {}) {
  const pictures = createPictureReader({ ...options, env: {}, ...more })
  t.after(pictures.close)
  return pictures
}

function lost(code: string, reason: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof RetryableFailure)
    assert.equal(error.code, code)
    assert.match(error.message, reason)
    return true
  }
}
