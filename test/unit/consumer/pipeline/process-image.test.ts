import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { jobId, musicKey } from '#shared/contract/key.ts'
import type { Analysis, Claim, JobError } from '#shared/db/jobs.ts'
import { PermanentFailure, RetryableFailure } from '#shared/failure.ts'
import { createPipeline, type Inference } from '../../../../services/consumer/pipeline/process-image.ts'
import { uploadOf } from '../../../job.ts'
import { drawPicture } from '../../../picture.ts'
import { createStubInference, promptWords } from '../../../stub-inference.ts'

const upload = uploadOf('uploads/a.jpg')
const picture = await drawPicture(1, { width: 64, height: 48 }).jpeg().toBuffer()

test('a picture becomes a WAV, then a row, and is settled', async () => {
  const house = build({ now: () => Date.parse('2026-01-02T03:04:06.000Z') })
  assert.equal(await house.process(), 'settled')
  assert.deepEqual(house.writes, ['put', 'succeed'])
  const key = musicKey(upload.key, jobId(upload))
  assert.equal(house.stored.get(key)?.toString('latin1', 0, 4), 'RIFF')
  const analysis = house.job.analysis!
  assert.equal(analysis.musicUrl, `https://pictures.s3.us-east-1.amazonaws.com/${key}`)
  assert.equal(analysis.imageUrl, 'https://pictures.s3.us-east-1.amazonaws.com/uploads/a.jpg')
  assert.equal(analysis.genre, Object.keys(promptWords.genres)[0])
  assert.equal(analysis.durationSeconds, 0.5)
  assert.equal(analysis.sampleRate, 32_000)
  assert.equal(analysis.queueMs, 322)
  assert.ok(analysis.prompt.length > 20)
})

test('the same picture gives the same bytes of music under any name', async () => {
  const [one, other] = [build(), build({ upload: uploadOf('uploads/그림 2.jpg', { etag: 'e2', version: 'e2' }) })]
  await Promise.all([one.process(), other.process()])
  assert.deepEqual([...one.stored.values()], [...other.stored.values()])
  assert.notDeepEqual([...one.stored.keys()], [...other.stored.keys()])
})

test('a picture settled before is settled again without work', async () => {
  const house = build()
  house.job.state = 'failed'
  assert.equal(await house.process(), 'settled')
  assert.deepEqual(house.writes, [])
})

test('a picture held by another is left to it', async () => {
  const house = build()
  house.job.state = 'processing'
  assert.equal(await house.process(), 'left')
  assert.deepEqual(house.writes, [])
})

for (const [stage, writesBefore] of [
  ['get', []],
  ['classify', []],
  ['compose', []],
  ['put', ['put']],
] as const) {
  test(`a lease lost during ${stage}: nothing is written after it`, async () => {
    const house = build({ during: { [stage]: (steal: () => void) => steal() } })
    assert.equal(await house.process(), 'left')
    assert.deepEqual(house.writes, writesBefore)
  })

  test(`a lease lost and an error during ${stage}: the error is not written either`, async () => {
    const house = build({
      during: {
        [stage]: (steal: () => void) => {
          steal()
          throw new PermanentFailure('IMAGE_CORRUPT', 'broken')
        },
      },
    })
    assert.equal(await house.process(), 'left')
    assert.deepEqual(house.writes, writesBefore)
  })
}

test('a message that is no longer ours loses the lease as well', async () => {
  const house = build({ extend: async () => false })
  assert.equal(await house.process(), 'left')
  assert.deepEqual(house.writes, [])
})

for (const [name, bytes, code] of [
  ['an empty file', Buffer.alloc(0), 'IMAGE_EMPTY'],
  ['a text', Buffer.from('hello'), 'IMAGE_UNSUPPORTED_TYPE'],
  ['half a JPEG', picture.subarray(0, picture.length / 2), 'IMAGE_CORRUPT'],
] as const) {
  test(`${name} is dead-lettered, then recorded as failed, and is settled`, async () => {
    const house = build({ picture: bytes })
    assert.equal(await house.process(), 'settled')
    assert.deepEqual(house.writes, ['deadLetter', 'fail'])
    assert.deepEqual([house.job.error?.code, house.job.error?.retryable], [code, false])
    assert.deepEqual(
      house.deadLetters.map(({ reasonCode, attempts, imageKey }) => ({ reasonCode, attempts, imageKey })),
      [{ reasonCode: code, attempts: 1, imageKey: upload.key }],
    )
  })
}

test('a failed try is given back with its error, and tried again ever later', async () => {
  const house = build({ during: { compose: failWith(new RetryableFailure('GENERATION_FAILED', 'no luck')) } })
  assert.deepEqual(await house.process(), { retryAfterSeconds: 5 })
  assert.deepEqual(await house.process(), { retryAfterSeconds: 10 })
  assert.deepEqual(house.writes, ['release', 'release'])
  assert.deepEqual(house.job.error, { code: 'GENERATION_FAILED', message: 'no luck', retryable: true })
  assert.equal(house.job.attempt, 2)
})

test('an unknown error counts as a failed try', async () => {
  const house = build({ during: { classify: failWith(new TypeError('unexpected')) } })
  assert.deepEqual(await house.process(), { retryAfterSeconds: 5 })
  assert.equal(house.job.error?.code, 'GENERATION_FAILED')
})

test('after the last try the picture fails for good', async () => {
  const house = build({ during: { compose: failWith(new Error('no luck')) } })
  house.job.attempt = 2
  assert.equal(await house.process(), 'settled')
  assert.deepEqual(house.writes, ['deadLetter', 'fail'])
  assert.deepEqual(house.job.error, { code: 'GENERATION_FAILED', message: 'no luck', retryable: true })
  assert.equal(house.deadLetters[0]?.attempts, 3)
})

for (const code of ['STORAGE_UNAVAILABLE', 'MODEL_UNAVAILABLE', 'DATABASE_UNAVAILABLE'] as ErrorCode[]) {
  test(`${code} is nobody's failed try, however often it happens`, async () => {
    const house = build({ during: { get: failWith(new RetryableFailure(code, 'away')) }, receiveCount: 3 })
    house.job.attempt = 2
    for (const _ of [1, 2, 3]) assert.deepEqual(await house.process(), { retryAfterSeconds: 120 })
    assert.deepEqual(house.writes, ['release', 'release', 'release'])
    assert.equal(house.job.attempt, 2)
  })
}

test('with the database away nothing is begun', async () => {
  const house = build({ during: { claim: failWith(new RetryableFailure('DATABASE_UNAVAILABLE', 'away')) } })
  assert.deepEqual(await house.process(), { retryAfterSeconds: 30 })
  assert.deepEqual(house.writes, [])
})

test('a failure that cannot be dead-lettered is not recorded, and tried again', async () => {
  const house = build({ picture: Buffer.alloc(0), during: { deadLetter: failWith(new Error('away')) } })
  assert.deepEqual(await house.process(), { retryAfterSeconds: 30 })
  assert.deepEqual(house.writes, [])
  assert.equal(house.job.state, 'processing')
})

for (const stage of ['get', 'classify', 'compose'] as const) {
  test(`a stop during ${stage} gives the picture back, uncounted`, async () => {
    const stop = new AbortController()
    const house = build({ during: { [stage]: () => stop.abort(new Error('stop')) }, signal: stop.signal })
    assert.deepEqual(await house.process(), { retryAfterSeconds: 0 })
    assert.deepEqual(house.writes, ['release'])
    assert.deepEqual([house.job.state, house.job.attempt, house.job.error], ['queued', 0, undefined])
  })
}

test('a stop during the last write does not undo it', async () => {
  const stop = new AbortController()
  const house = build({ during: { succeed: () => stop.abort() }, signal: stop.signal })
  assert.equal(await house.process(), 'settled')
  assert.equal(house.job.state, 'succeeded')
})

test('the lease is renewed while composing, with the visibility of the message', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let renewals = 0
  const house = build({
    extend: async () => {
      renewals++
      return true
    },
    during: { compose: () => composeForMinutes(t) },
  })
  assert.equal(await house.process(), 'settled')
  assert.ok(renewals >= 8, `the lease of 60 s was renewed ${renewals} times in 120 s`)
})

async function composeForMinutes(t: TestContext): Promise<void> {
  for (let seconds = 0; seconds < 120; seconds++) {
    t.mock.timers.tick(1000)
    for (let turns = 0; turns < 20; turns++) await Promise.resolve()
  }
}

type Step = 'claim' | 'get' | 'classify' | 'compose' | 'put' | 'succeed' | 'deadLetter'

/** A pipeline on fakes that keep to the rules of the real ones: a write names its token, or changes nothing. */
function build(
  options: {
    upload?: typeof upload
    picture?: Buffer
    during?: Partial<Record<Step, (steal: () => void) => void | Promise<void>>>
    extend?: () => Promise<boolean>
    receiveCount?: number
    signal?: AbortSignal
    now?: () => number
  } = {},
) {
  const writes: string[] = []
  const stored = new Map<string, Buffer>()
  const deadLetters: { reasonCode: string; attempts: number; imageKey?: string | undefined }[] = []
  const job = {
    state: 'queued' as 'queued' | 'processing' | 'succeeded' | 'failed',
    token: '',
    attempt: 0,
    error: undefined as JobError | undefined,
    analysis: undefined as Analysis | undefined,
  }
  const steal = () => {
    job.token = 'another'
  }
  const at = async (step: Step) => options.during?.[step]?.(steal)
  const holds = (token: string) => job.state === 'processing' && job.token === token
  const change = (name: string, token: string, apply: () => void) => {
    if (!holds(token)) return false
    writes.push(name)
    apply()
    return true
  }
  const stub = createStubInference()
  const inference: Inference = {
    ...stub,
    classify: async (pixels, { signal }) => {
      await at('classify')
      signal.throwIfAborted()
      return stub.classify(pixels, { signal })
    },
    compose: async (clip, { signal, onProgress }) => {
      await at('compose')
      signal.throwIfAborted()
      return stub.compose(clip, { signal, onProgress })
    },
  }
  const pipeline = createPipeline({
    jobs: {
      receive: async () => jobId(options.upload ?? upload),
      claim: async (_id, { token }): Promise<Claim> => {
        await at('claim')
        if (job.state === 'processing') return { outcome: 'held' }
        if (job.state !== 'queued') return { outcome: 'settled', state: job.state }
        Object.assign(job, { state: 'processing', token, attempt: job.attempt + 1 })
        return { outcome: 'claimed', attempt: job.attempt }
      },
      renew: async ({ token }) => holds(token),
      progress: async ({ token }) => holds(token),
      succeed: async ({ token, analysis }) => {
        await at('succeed')
        return change('succeed', token, () => Object.assign(job, { state: 'succeeded', analysis }))
      },
      fail: async ({ id: _, token, ...error }) =>
        change('fail', token, () => Object.assign(job, { state: 'failed', error })),
      release: async ({ token, error, countAttempt = true }) =>
        change('release', token, () =>
          Object.assign(job, { state: 'queued', error, attempt: job.attempt - (countAttempt ? 0 : 1) }),
        ),
    },
    objects: {
      get: async (_version, { signal }) => {
        await at('get')
        signal.throwIfAborted()
        return options.picture ?? picture
      },
      put: async ({ key, body }) => {
        stored.set(key, body)
        writes.push('put')
        await at('put')
      },
    },
    inference,
    words: promptWords,
    now: options.now ?? (() => 0),
    random: () => 1,
    region: 'us-east-1',
    leaseSeconds: 60,
    maxAttempts: 3,
    maxImageBytes: 1_000_000,
    maxImagePixels: 1_000_000,
    musicSeconds: 0.5,
  })
  return {
    writes,
    stored,
    deadLetters,
    job,
    process: () =>
      pipeline.processImage({
        upload: options.upload ?? upload,
        delivery: {
          receiveCount: options.receiveCount ?? 1,
          extend: options.extend ?? (async () => true),
          deadLetter: async (reason) => {
            await at('deadLetter')
            deadLetters.push(reason)
            writes.push('deadLetter')
          },
        },
        logger: pino({ enabled: false }),
        signal: options.signal ?? new AbortController().signal,
      }),
  }
}

function failWith(error: Error) {
  return () => {
    throw error
  }
}
