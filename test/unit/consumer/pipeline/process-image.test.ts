import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { pino } from 'pino'
import type { DeadLetterReason } from '#shared/aws/queue.ts'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { type ImageVersion, jobId, musicKey } from '#shared/contract/key.ts'
import type { JobState } from '#shared/contract/result.ts'
import type { TakeOrdered } from '#shared/contract/take-order.ts'
import type { JobError } from '#shared/db/job-end.ts'
import type { Analysis, Claim, Jobs } from '#shared/db/jobs.ts'
import { PermanentFailure, RetryableFailure } from '#shared/failure.ts'
import { imageLogger } from '#shared/logger.ts'
import { encodeWav } from '../../../../services/consumer/audio/wav.ts'
import { findingsOf } from '../../../../services/consumer/pipeline/analysis.ts'
import type { Inference } from '../../../../services/consumer/pipeline/music-maker.ts'
import type { EndedTry } from '../../../../services/consumer/pipeline/observer.ts'
import { createPipeline } from '../../../../services/consumer/pipeline/process-image.ts'
import { readPicture } from '../../../../services/consumer/pipeline/read-picture.ts'
import { seedOf } from '../../../../services/consumer/pipeline/seed.ts'
import { uploadOf } from '../../../job.ts'
import { drawPicture } from '../../../picture.ts'
import { createStubInference, promptWords } from '../../../stub-inference.ts'

const upload = uploadOf('uploads/a.jpg')
const order = { ...versionOf(upload), take: 3, eventTime: '2026-01-02T03:04:05.000Z' }
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
  const wav = house.stored.get(key)!
  assert.equal(analysis.musicBytes, wav.length)
  assert.equal(analysis.musicSha256, createHash('sha256').update(wav).digest('hex'))
  assert.ok(analysis.prompt.length > 20)
})

test('the same picture gives the same bytes of music under any name', async () => {
  const [one, other] = [build(), build({ upload: uploadOf('uploads/그림 2.jpg', { etag: 'e2', version: 'e2' }) })]
  await Promise.all([one.process(), other.process()])
  assert.deepEqual([...one.stored.values()], [...other.stored.values()])
  assert.notDeepEqual([...one.stored.keys()], [...other.stored.keys()])
})

test('of two tries that differ, the record is of the WAV that was stored first', async () => {
  const words = { ...promptWords, tempo: { ...promptWords.tempo, words: [{ from: 0, words: '느리게 🐢' }] } }
  const first = build({ words, musicSeconds: 0.25, during: { succeed: failWith(new Error('cut off')) } })
  Object.assign(first.inference.musicManifest, { name: '첫 model', source: { revision: 'r1' } })
  assert.deepEqual(await first.process(), { retryAfterSeconds: 5 })
  const [[key, wav]] = [...first.stored] as [[string, Buffer]]

  const second = build({ now: () => 1 })
  second.stored.set(key, wav)
  assert.equal(await second.process(), 'settled')
  assert.equal(second.stored.get(key), wav)
  const { prompt, genre, classifierModel, ...row } = second.job.analysis!
  const { musicModel, musicModelRevision, durationSeconds, sampleRate, musicBytes, musicSha256, seed } = row
  assert.deepEqual(
    { musicModel, musicModelRevision, durationSeconds, sampleRate, musicBytes, musicSha256 },
    {
      musicModel: '첫 model',
      musicModelRevision: 'r1',
      durationSeconds: 0.25,
      sampleRate: 32_000,
      musicBytes: wav.length,
      musicSha256: createHash('sha256').update(wav).digest('hex'),
    },
  )
  assert.match(prompt, /느리게 🐢 tempo/)
  assert.equal(seed, seedOf(picture, 0))
  // Of the picture, and not of its music.
  assert.deepEqual([genre, classifierModel], [Object.keys(promptWords.genres)[0], 'stub-classifier'])
})

test('so it is of another take, which was ordered otherwise then', async () => {
  const findings = findingsOf(await createStubInference().classify([], { signal: new AbortController().signal }), {
    name: 'of then',
    source: { revision: 'r0' },
  })
  const first = build({ order, ordered: { prompt: '왈츠 '.repeat(333), seed: 2 ** 32 - 1, seconds: 0.25, findings } })
  await first.process()
  const second = build({ order, ordered: { prompt: 'A march', seed: 7, seconds: 0.5, findings } })
  for (const [key, wav] of first.stored) second.stored.set(key, wav)
  assert.equal(await second.process(), 'settled')
  assert.deepEqual(second.job.analysis, first.job.analysis)
})

test('of a WAV without a comment the record has the length, and the rest of the try at hand; of what is none, its bytes', async () => {
  const key = musicKey(upload.key, jobId(upload))
  const silence = encodeWav({ channels: [new Float32Array(8_000)], sampleRate: 16_000 })
  const told = encodeWav({ channels: [new Float32Array(8_000)], sampleRate: 16_000, comment: 'by hand' })
  const other = encodeWav({ channels: [new Float32Array(8_000)], sampleRate: 16_000, comment: '{"prompt":"a"}' })
  for (const [stored, seconds, rate] of [
    [silence, 0.5, 16_000],
    [told, 0.5, 16_000],
    [other, 0.5, 16_000],
    [Buffer.from('no WAV'), 0.25, 32_000],
  ] as const) {
    const house = build({ musicSeconds: 0.25 })
    house.stored.set(key, stored)
    assert.equal(await house.process(), 'settled')
    const { durationSeconds, sampleRate, musicBytes, musicModel, prompt } = house.job.analysis!
    assert.deepEqual([durationSeconds, sampleRate, musicBytes], [seconds, rate, stored.length])
    assert.deepEqual([musicModel, prompt.length > 20], ['stub-music', true])
  }
})

test('a later take is made of its order and of what the first found, without the picture', async () => {
  const findings = findingsOf(await createStubInference().classify([], { signal: new AbortController().signal }), {
    name: 'of then',
    source: { revision: 'r0' },
  })
  const ordered = { prompt: 'A slow waltz', seed: 7, seconds: 0.25, findings }
  const during = { get: () => assert.fail('fetched'), classify: () => assert.fail('classified') }
  const house = build({ order, ordered, during, now: () => Date.parse('2026-01-02T03:04:06.000Z') })
  assert.equal(await house.process(), 'settled')
  assert.deepEqual(house.writes, ['put', 'succeed'])
  assert.deepEqual([...house.stored.keys()], [musicKey(order.key, jobId(order, 3))])
  const { take, prompt, seed, durationSeconds, classifierModel, musicModel, queueMs, fetchMs } = house.job.analysis!
  assert.deepEqual([take, prompt, seed, durationSeconds], [3, 'A slow waltz', 7, 0.25])
  assert.deepEqual([classifierModel, musicModel, queueMs, fetchMs], ['of then', 'stub-music', 1000, 0])
  assert.equal(house.job.analysis!.genre, findings.genre)
  assert.deepEqual(
    house.ended[0]!.stages.map(({ stage }) => stage),
    ['claim', 'generate', 'store', 'record'],
  )
})

test('a later take that nobody ordered is refused, and one whose first has no row is tried again', async () => {
  const nobodys = build({ order, unknown: true })
  const refused = { reasonCode: 'MESSAGE_UNREADABLE', attempts: 1, imageKey: order.key } as const
  const reason = `There is no job ${jobId(order, 3)}: nobody ordered it`
  assert.deepEqual(await nobodys.process(), { refused: { ...refused, reason } })
  const house = build({ order })
  assert.deepEqual(await house.process(), { retryAfterSeconds: 5 })
  assert.equal(house.job.error?.code, 'GENERATION_FAILED')
})

for (const step of ['get', 'compose', 'put', 'succeed', 'deadLetter'] as const) {
  test(`canceled during ${step}: nothing is written after it, and the message is settled`, async () => {
    const house = build({
      ...(step === 'deadLetter' && { picture: Buffer.alloc(0) }),
      during: { [step]: (_steal: () => void, cancel: () => void) => cancel() },
    })
    assert.equal(await house.process(), 'settled')
    const before = { get: [], compose: [], put: ['put'], succeed: ['put'], deadLetter: ['deadLetter'] }
    assert.deepEqual([house.job.state, house.writes], ['canceled', before[step]])
    assert.deepEqual(
      house.ended.map(({ outcome }) => outcome),
      ['canceled'],
    )
  })
}

test('a dead letter of a job that was canceled since leaves it canceled', async () => {
  const house = build({ failureId: 'f' })
  Object.assign(house.job, { state: 'canceled', token: 'f' })
  assert.equal(await house.process(), 'settled')
  assert.deepEqual([house.job.state, house.writes], ['canceled', []])
})

test('a picture settled before is settled again without work', async () => {
  const house = build()
  house.job.state = 'failed'
  assert.equal(await house.process(), 'settled')
  assert.deepEqual(house.writes, [])
})

for (const [heldFor, retryAfterSeconds] of [
  [40, 50],
  [0.2, 1.25],
] as const) {
  test(`a picture held for ${heldFor} s comes back after that`, async () => {
    const house = build({ heldFor })
    house.job.state = 'processing'
    assert.deepEqual(await house.process(), { retryAfterSeconds })
    assert.deepEqual(house.writes, [])
  })
}

test('a failed picture is taken again for the dead letter of its failure, and for that one only', async () => {
  const broken = build({ picture: Buffer.alloc(0) })
  await broken.process()
  const { failureId } = broken.deadLetters[0]!
  assert.equal(failureId, broken.job.token)
  for (const [id, writes] of [
    [undefined, []],
    ['another', []],
    [failureId, ['put', 'succeed']],
  ] as const) {
    const house = build({ failureId: id })
    Object.assign(house.job, { state: 'failed', token: failureId })
    assert.equal(await house.process(), 'settled')
    assert.deepEqual(house.writes, writes)
  }
})

test('what the database does not take is refused, and no outage', async () => {
  const house = build({ during: { receive: failWith(new PermanentFailure('MESSAGE_UNREADABLE', 'too long')) } })
  assert.deepEqual(await house.process(), {
    refused: { reasonCode: 'MESSAGE_UNREADABLE', reason: 'too long', attempts: 1, imageKey: upload.key },
  })
  assert.deepEqual(house.outages, [])
})

test('a picture that ended all its tries without an answer fails before it is tried again', async () => {
  const house = build({ during: { get: () => assert.fail('tried again') } })
  house.job.attempt = 3
  assert.equal(await house.process(), 'settled')
  assert.deepEqual(house.writes, ['deadLetter', 'fail'])
  assert.equal(house.job.error?.code, 'GENERATION_FAILED')
  assert.match(house.job.error.message, /ended 3 times without an answer/)
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

test('a message that is no longer ours loses the lease as well, and the job is free for the next', async () => {
  const house = build({ extend: async () => false })
  assert.equal(await house.process(), 'left')
  assert.deepEqual(house.writes, ['release'])
  assert.deepEqual([house.job.state, house.job.attempt], ['queued', 0])
})

for (const step of ['confirm', 'put', 'succeed'] as const) {
  test(`an outage of seconds at ${step} does not cost the music`, async (t) => {
    const outage = passingOutage(t, 3)
    const house = build({ during: { [step]: outage.strike } })
    let compositions = 0
    house.inference.compose = countCalls(house.inference.compose, () => compositions++)
    assert.equal(await outage.until(house.process()), 'settled')
    assert.equal(house.job.state, 'succeeded')
    assert.equal(compositions, 1)
  })

  test(`an outage at ${step} that lasts gives the picture back, uncounted`, async (t) => {
    const outage = passingOutage(t, Number.POSITIVE_INFINITY)
    const house = build({ during: { [step]: outage.strike } })
    assert.deepEqual(await outage.until(house.process()), { retryAfterSeconds: 30 })
    assert.deepEqual([house.job.state, house.job.attempt], ['queued', 0])
    assert.deepEqual(house.outages, ['STORAGE_UNAVAILABLE'])
  })
}

test('when neither the work nor giving it back succeeds, both errors are logged', async () => {
  const house = build({
    during: {
      compose: failWith(new Error('out of memory')),
      release: failWith(new RetryableFailure('DATABASE_UNAVAILABLE', 'no database')),
    },
  })
  assert.deepEqual(await house.process(), { retryAfterSeconds: 30 })
  assert.match(house.log(), /out of memory/)
  assert.match(house.log(), /no database/)
  assert.deepEqual(house.outages, ['DATABASE_UNAVAILABLE'])
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
    assert.deepEqual(house.outages, [code, code, code])
  })
}

test('with the database away nothing is begun', async () => {
  const house = build({ during: { claim: failWith(new RetryableFailure('DATABASE_UNAVAILABLE', 'away')) } })
  assert.deepEqual(await house.process(), { retryAfterSeconds: 30 })
  assert.deepEqual(house.writes, [])
})

test('a failure that cannot be dead-lettered is not recorded, and tried again, uncounted and under its own code', async () => {
  let isAway = true
  const deadLetter = () => {
    if (isAway) throw new RetryableFailure('STORAGE_UNAVAILABLE', 'away')
  }
  const house = build({ picture: Buffer.alloc(0), during: { deadLetter } })
  for (const _ of [1, 2, 3, 4]) assert.deepEqual(await house.process(), { retryAfterSeconds: 30 })
  assert.deepEqual(house.writes, ['release', 'release', 'release', 'release'])
  assert.deepEqual([house.job.state, house.job.attempt], ['queued', 0])
  isAway = false
  assert.equal(await house.process(), 'settled')
  assert.deepEqual([house.job.error?.code, house.deadLetters[0]?.attempts], ['IMAGE_EMPTY', 1])
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

for (const [name, options, outcome, code, stages] of [
  ['succeeds', {}, 'succeeded', undefined, ['claim', 'fetch', 'classify', 'generate', 'store', 'record']],
  ['fails for good', { picture: Buffer.alloc(0) }, 'failed', 'IMAGE_EMPTY', ['claim', 'fetch', 'classify']],
  [
    'fails for now',
    { during: { compose: failWith(new Error('no luck')) } },
    'retried',
    'GENERATION_FAILED',
    ['claim', 'fetch', 'classify', 'generate'],
  ],
  [
    'meets an outage',
    { during: { get: failWith(new RetryableFailure('STORAGE_UNAVAILABLE', 'away')) } },
    'retried',
    'STORAGE_UNAVAILABLE',
    ['claim', 'fetch'],
  ],
  [
    'cannot be claimed',
    { during: { claim: failWith(new RetryableFailure('DATABASE_UNAVAILABLE', 'away')) } },
    'retried',
    'DATABASE_UNAVAILABLE',
    ['claim'],
  ],
  [
    'cannot be given back',
    {
      during: {
        compose: failWith(new Error('no luck')),
        release: failWith(new RetryableFailure('DATABASE_UNAVAILABLE', 'away')),
      },
    },
    'retried',
    'DATABASE_UNAVAILABLE',
    ['claim', 'fetch', 'classify', 'generate'],
  ],
  [
    'loses its lease',
    { during: { classify: (steal: () => void) => steal() } },
    'lost',
    undefined,
    ['claim', 'fetch', 'classify', 'generate', 'store'],
  ],
] as const) {
  test(`a try that ${name} is heard of once, as ${outcome}, with its stages`, async () => {
    const house = build(options)
    await house.process()
    const [ended, ...others] = house.ended
    assert.deepEqual(others, [])
    assert.deepEqual([ended!.outcome, ended!.code], [outcome, code])
    assert.equal(ended!.attempt, name === 'cannot be claimed' || name === 'cannot be given back' ? undefined : 1)
    assert.deepEqual(
      ended!.stages.map(({ stage }) => stage),
      stages,
    )
    assert.deepEqual([ended!.jobId, ended!.image.key, ended!.messageId], [jobId(upload), upload.key, 'm'])
  })
}

test('a try that a stop cuts short is heard of as stopped, and a picture settled before is not', async () => {
  const stop = new AbortController()
  const house = build({ during: { get: () => stop.abort() }, signal: stop.signal })
  await house.process()
  const settled = build()
  settled.job.state = 'succeeded'
  await settled.process()
  assert.deepEqual(
    [...house.ended, ...settled.ended].map(({ outcome }) => outcome),
    ['stopped'],
  )
})

test('the trace that the picture came with goes before that of the message', async () => {
  const house = build({ metadata: { traceparent: 'of the picture' } })
  await house.process()
  assert.deepEqual(house.ended[0]!.traceHeaders, ['of the picture', 'of the message'])
})

test('every line names picture, message and job, whoever wrote it', async () => {
  const failures = {
    confirm: failWith(new RetryableFailure('DATABASE_UNAVAILABLE', 'away')),
    compose: failWith(new Error('no luck')),
    release: failWith(new RetryableFailure('DATABASE_UNAVAILABLE', 'away')),
  }
  const houses = [build(), build({ during: failures }), build({ picture: Buffer.alloc(0) }), build({ heldFor: 1 })]
  houses[3]!.job.state = 'processing'
  for (const house of houses) await house.process()
  const lines = houses.flatMap((house) => house.log().trim().split('\n'))
  const said = lines.map((line) => JSON.parse(line))
  assert.ok(said.some(({ msg }) => msg === 'the prompt was cut'))
  for (const line of said) {
    assert.deepEqual([line.image_key, line.message_id, line.job_id], [upload.key, 'm', jobId(upload)], line.msg)
  }
  for (const line of lines) assert.ok(line.split('"attempt":').length <= 2, line)
})

/** So many calls fail; after each failure time passes, and else it stands still. */
function passingOutage(t: TestContext, failures: number) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const secondsPerFailure = 10
  let struck = 0
  return {
    strike(): void {
      if (struck === failures) return
      struck++
      throw new RetryableFailure('STORAGE_UNAVAILABLE', 'away')
    },
    async until<T>(pending: Promise<T>): Promise<T> {
      const finished = pending.then(() => true)
      let passed = 0
      while (!(await Promise.race([finished, setImmediate(false)]))) {
        if (passed === struck * secondsPerFailure) continue
        t.mock.timers.tick(1000)
        passed++
      }
      return pending
    },
  }
}

function countCalls(compose: Inference['compose'], count: () => void): Inference['compose'] {
  return (...args) => {
    count()
    return compose(...args)
  }
}

async function composeForMinutes(t: TestContext): Promise<void> {
  for (let seconds = 0; seconds < 120; seconds++) {
    t.mock.timers.tick(1000)
    for (let turns = 0; turns < 20; turns++) await Promise.resolve()
  }
}

type Step =
  | 'receive'
  | 'claim'
  | 'get'
  | 'classify'
  | 'compose'
  | 'confirm'
  | 'put'
  | 'succeed'
  | 'deadLetter'
  | 'release'

/** A pipeline on fakes that keep to the rules of the real ones: a write names its token, or changes nothing. */
function build(
  options: {
    upload?: typeof upload
    order?: TakeOrdered
    ordered?: Awaited<ReturnType<Jobs['ordered']>>
    /** Nobody has begun its job. */
    unknown?: boolean
    picture?: Buffer
    metadata?: Record<string, string>
    during?: Partial<Record<Step, (steal: () => void, cancel: () => void) => unknown>>
    extend?: () => Promise<boolean>
    words?: typeof promptWords
    musicSeconds?: number
    receiveCount?: number
    failureId?: string | undefined
    heldFor?: number
    signal?: AbortSignal
    now?: () => number
  } = {},
) {
  const writes: string[] = []
  const outages: ErrorCode[] = []
  const ended: EndedTry[] = []
  const lines: string[] = []
  const stored = new Map<string, Buffer>()
  const deadLetters: DeadLetterReason[] = []
  const job = {
    state: 'queued' as JobState,
    token: '',
    attempt: 0,
    error: undefined as JobError | undefined,
    analysis: undefined as Analysis | undefined,
  }
  const steal = () => {
    job.token = 'another'
  }
  const cancel = () => {
    job.state = 'canceled'
  }
  const reopen = (failureId: string) => {
    if (failureId === job.token && job.state === 'failed') job.state = 'queued'
  }
  const at = async (step: Step) => options.during?.[step]?.(steal, cancel)
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
    compose: async (clip, hearing) => {
      await at('compose')
      hearing.signal.throwIfAborted()
      hearing.onWarning('the prompt was cut')
      return stub.compose(clip, hearing)
    },
  }
  const pipeline = createPipeline({
    jobs: {
      receive: async (_upload, failureId) => {
        await at('receive')
        if (failureId) reopen(failureId)
        return jobId(options.upload ?? upload)
      },
      reopen: async (_id, failureId) => reopen(failureId),
      ordered: async () => options.ordered,
      state: async () => job.state,
      claim: async (_id, { token }): Promise<Claim> => {
        await at('claim')
        if (options.unknown) return { outcome: 'unknown' }
        if (job.state === 'processing') return { outcome: 'held', leaseSeconds: options.heldFor ?? 60 }
        if (job.state !== 'queued') return { outcome: 'settled', state: job.state }
        Object.assign(job, { state: 'processing', token, attempt: job.attempt + 1 })
        return { outcome: 'claimed', attempt: job.attempt }
      },
      renew: async ({ token }) => {
        await at('confirm')
        return holds(token)
      },
      progress: async ({ token }) => holds(token),
      succeed: async ({ token, analysis }) => {
        await at('succeed')
        return change('succeed', token, () => Object.assign(job, { state: 'succeeded', analysis }))
      },
      fail: async ({ id: _, token, ...error }) =>
        change('fail', token, () => Object.assign(job, { state: 'failed', error })),
      release: async ({ token, error, countAttempt = true }) => {
        await at('release')
        return change('release', token, () =>
          Object.assign(job, { state: 'queued', error, attempt: job.attempt - (countAttempt ? 0 : 1) }),
        )
      },
    },
    objects: {
      get: async (_version, { signal }) => {
        await at('get')
        signal.throwIfAborted()
        return { bytes: options.picture ?? picture, metadata: options.metadata ?? {} }
      },
      put: async ({ key, body }) => {
        if (!stored.has(key)) stored.set(key, body)
        writes.push('put')
        await at('put')
        return stored.get(key)!
      },
    },
    pictures: {
      read: (bytes) =>
        readPicture(bytes, { maxPixels: 1_000_000, graphs: inference.classifierManifest.classifier.graphs }),
    },
    inference,
    words: options.words ?? promptWords,
    now: options.now ?? (() => 0),
    random: () => 1,
    region: 'us-east-1',
    leaseSeconds: 60,
    maxAttempts: 3,
    onOutage: (code) => outages.push(code),
    observer: { tryEnded: (each) => ended.push(each) },
    maxImageBytes: 1_000_000,
    musicSeconds: options.musicSeconds ?? 0.5,
  })
  return {
    writes,
    outages,
    ended,
    inference,
    log: () => lines.join(''),
    stored,
    deadLetters,
    job,
    process: () =>
      pipeline.processImage({
        assignment: options.order ?? options.upload ?? upload,
        delivery: {
          messageId: 'm',
          traceHeaders: ['of the message'],
          receiveCount: options.receiveCount ?? 1,
          failureId: options.failureId,
          extend: options.extend ?? (async () => true),
          deadLetter: async (reason) => {
            await at('deadLetter')
            deadLetters.push(reason)
            writes.push('deadLetter')
          },
        },
        logger: imageLogger(pino({}, { write: (line) => lines.push(line) }), { key: upload.key, messageId: 'm' }),
        signal: options.signal ?? new AbortController().signal,
      }),
  }
}

function versionOf({ bucket, key, version }: ImageVersion): ImageVersion {
  return { bucket, key, version }
}

function failWith(error: Error) {
  return () => {
    throw error
  }
}
