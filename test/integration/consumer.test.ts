import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { jobId, musicKey } from '#shared/contract/key.ts'
import { encodeWav, readWav } from '../../services/consumer/audio/wav.ts'
import { badPictures, drawPicture, goodPictures } from '../picture.ts'
import { deadLetters, depth, drained, finished, send, stack, upload, withConsumer } from './consumer-fixture.ts'

test('every kind of picture gets its row and its WAV', async () => {
  await withConsumer({}, async () => {
    for (const [name, make] of Object.entries(goodPictures)) await upload(`uploads/kinds/${name}`, await make())
    for (const name of Object.keys(goodPictures)) {
      const { job, analysis } = await finished(`uploads/kinds/${name}`)
      assert.equal(job.state, 'succeeded', `${name}: ${job.errorMessage}`)
      assert.equal(job.attempt, 1)
      const music = await stack.s3.send(
        new GetObjectCommand({ Bucket: stack.env.BUCKET, Key: `generated/kinds/${name}/${job.id}.wav` }),
      )
      assert.equal(music.ContentType, 'audio/wav')
      const { comment, ...length } = readWav(Buffer.from(await music.Body!.transformToByteArray()))!
      assert.deepEqual(length, { sampleRate: 32_000, seconds: 0.1 })
      const { prompt, seed, musicModel: model, musicModelRevision: revision } = analysis!
      assert.deepEqual(JSON.parse(comment!), { prompt, seed, model, revision })
      assert.ok(analysis!.totalMs >= analysis!.storeMs)
    }
  })
  assert.deepEqual(await depth(), { visible: 0, inFlight: 0 })
})

test('of music that is there already, by another model and of another length, the record is in its words', async () => {
  const key = 'uploads/made before.jpg'
  const { ETag: etag } = await upload(key, await drawPicture(1).jpeg().toBuffer())
  const id = jobId({ bucket: stack.env.BUCKET!, key, version: etag!.replaceAll('"', '') })
  const music = { Bucket: stack.env.BUCKET, Key: musicKey(key, id) }
  const made = { prompt: '느린 왈츠 '.repeat(160), seed: 7, model: 'musicgen-of-then', revision: 'r1' }
  const comment = JSON.stringify(made)
  const wav = encodeWav({ channels: [new Float32Array(64_000)], sampleRate: 32_000, comment })
  await stack.s3.send(new PutObjectCommand({ ...music, Body: wav, ContentType: 'audio/wav' }))
  await withConsumer({}, async () => {
    const { analysis } = await finished(key)
    const { prompt, seed, musicModel: model, musicModelRevision: revision } = analysis!
    assert.deepEqual({ prompt, seed, model, revision }, made)
    assert.deepEqual([analysis!.durationSeconds, analysis!.musicBytes], [2, wav.length])
  })
  const { Body: body } = await stack.s3.send(new GetObjectCommand(music))
  assert.ok(wav.equals(await body!.transformToByteArray()))
})

test('every kind of bad file fails with its code, in the row and in the dead letter', async () => {
  const large = { make: async () => Buffer.alloc(300_001), code: 'IMAGE_TOO_LARGE' }
  const files = { ...badPictures, 'large.jpg': large }
  await withConsumer({ settings: { MAX_IMAGE_BYTES: '300000' } }, async () => {
    for (const [name, { make }] of Object.entries(files)) await upload(`uploads/bad files/${name}`, await make())
    for (const [name, { code }] of Object.entries(files)) {
      const { job, analysis } = await finished(`uploads/bad files/${name}`)
      assert.deepEqual([job.state, job.errorCode, job.errorRetryable], ['failed', code, false], name)
      assert.equal(analysis, null)
    }
  })
  const letters = await deadLetters()
  assert.deepEqual(
    Object.fromEntries(letters.map(({ image_key: key, reason_code: code }) => [decodeURIComponent(key!), code])),
    Object.fromEntries(Object.entries(files).map(([name, { code }]) => [`uploads/bad files/${name}`, code])),
  )
  for (const letter of letters) {
    assert.equal(letter.attempts, '1')
    assert.ok(letter.reason && letter.failed_at)
  }
  assert.deepEqual(await depth(), { visible: 0, inFlight: 0 })
})

test('keys of every kind of character lead to their own results', async () => {
  const keys = ['a b', 'a+b', 'a%2Fb', 'a/b', '100%', '한글/그림', '🎨', "'()!~*", 'x'.repeat(1000)].map(
    (name) => `uploads/keys/${name}.jpg`,
  )
  await withConsumer({}, async () => {
    for (const [index, key] of keys.entries()) await upload(key, await drawPicture(index).jpeg().toBuffer())
    for (const key of keys) {
      const { job, analysis } = await finished(key)
      assert.equal(job.state, 'succeeded', key)
      assert.equal(job.imageKey, key)
      assert.equal(decodeURIComponent(new URL(analysis!.imageUrl).pathname), `/${key}`)
    }
  })
})

test('messages that cannot be read or are about another bucket are dead-lettered with their reason', async () => {
  await withConsumer({}, async () => {
    await send('hello')
    await send('{"Service":"Amazon S3","Event":"s3:TestEvent"}')
    await send(JSON.stringify(foreign))
    await drained()
  })
  const letters = await deadLetters()
  assert.deepEqual(letters.map(({ reason_code: code }) => code).toSorted(), [
    'MESSAGE_FOREIGN_BUCKET',
    'MESSAGE_UNREADABLE',
  ])
})

const foreign = {
  Records: [
    {
      eventVersion: '2.1',
      eventSource: 'aws:s3',
      eventName: 'ObjectCreated:Put',
      eventTime: '2026-01-02T03:04:05.678Z',
      s3: { bucket: { name: 'foreign' }, object: { key: 'uploads/a.jpg', size: 1, eTag: 'e1', sequencer: '0A' } },
    },
  ],
}
