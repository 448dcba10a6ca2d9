import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { jobId, musicKey } from '#shared/contract/key.ts'
import { encodeWav } from '../../../../services/consumer/audio/wav.ts'
import { findingsOf } from '../../../../services/consumer/pipeline/analysis.ts'
import { seedOf } from '../../../../services/consumer/pipeline/seed.ts'
import { uploadOf } from '../../../job.ts'
import { createStubInference, promptWords } from '../../../stub-inference.ts'
import { build, failWith, picture, upload, versionOf } from './pipeline-on-fakes.ts'

const order = { ...versionOf(upload), take: 3, eventTime: '2026-01-02T03:04:05.000Z' }

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
  assert.equal(seed, seedOf(picture))
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
