import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  imageKeyFault,
  jobId,
  keyDigest,
  musicKey,
  normalizeSequencer,
  objectKey,
  objectUrl,
  readMusicKey,
  sequencerAfter,
} from '#shared/contract/key.ts'

const image = { bucket: 'pictures', key: 'uploads/a.jpg', version: 'v1' }
const id = '0123456789abcdef0123456789abcdef'

test('a job id depends on bucket, key, version and take, and on how they are divided', () => {
  const ids = [
    jobId(image),
    jobId(image, 1),
    jobId({ ...image, version: 'v2' }),
    jobId({ ...image, key: 'uploads/b.jpg' }),
    jobId({ ...image, bucket: 'other' }),
    jobId({ ...image, key: 'uploads/a.jp', version: 'gv1' }),
  ]
  assert.equal(new Set(ids).size, ids.length)
  for (const each of ids) assert.match(each, /^[0-9a-f]{32}$/)
  assert.equal(jobId(image), 'f02daa09358cbc9dfb3b168f2c81a200')
  assert.match(keyDigest('pictures', 'uploads/a.jpg'), /^[0-9a-f]{64}$/)
})

for (const [key, fault] of [
  ['uploads/a.jpg', undefined],
  ['uploads/.a/..b/c../...', undefined],
  [`uploads/${'한'.repeat(338)}ab`, undefined],
  ['uploads/', /uploads\//],
  ['a.jpg', /uploads\//],
  [`uploads/${'한'.repeat(339)}`, /1025 bytes/],
  ['uploads/a\0b', /nul/],
  ['uploads/\ud800', /surrogate/],
  ['uploads/../a.jpg', /"\." or "\.\."/],
  ['uploads/a/.', /"\." or "\.\."/],
] as const) {
  test(`${key.slice(0, 30)} ${fault ? 'is no' : 'is a'} picture's key`, () => {
    const found = imageKeyFault(key)
    if (fault) assert.match(found ?? '', fault)
    else assert.equal(found, undefined)
  })
}

test('music lies under generated/, named by picture and id', () => {
  assert.equal(musicKey('uploads/a b/그림.jpg', id), `generated/a b/그림.jpg/${id}.wav`)
})

test('the longest keys still give a key that S3 takes, cut at a whole character', () => {
  for (const picture of [
    `uploads/${'a'.repeat(1016)}`,
    `uploads/${'🎨'.repeat(254)}`,
    `uploads/a${'한'.repeat(338)}`,
  ]) {
    const key = musicKey(picture, id)
    assert.ok(Buffer.byteLength(key) <= 1024 && Buffer.byteLength(key) > 1020)
    assert.ok(key.isWellFormed() && !key.includes('\ufffd'))
    assert.ok(key.endsWith(`/${id}.wav`))
  }
})

test('the name of music says its job, and its picture where nothing was cut', () => {
  for (const name of ['a b/그림.jpg', 'line\nbreak', 'b/', 'c.wav', 'x'.repeat(973)]) {
    assert.deepEqual(readMusicKey(musicKey(`uploads/${name}`, id)), { id, imageKey: `uploads/${name}` })
  }
  for (const length of [974, 977, 978, 1016]) {
    assert.deepEqual(readMusicKey(musicKey(`uploads/${'x'.repeat(length)}`, id)), { id, imageKey: undefined })
  }
  for (const key of [`generated/${id}.wav`, `generated/a/${id}.mp3`, `uploads/a/${id}.wav`, 'generated/a/b.wav']) {
    assert.equal(readMusicKey(key), undefined)
  }
})

test('an address is percent-encoded segment by segment', () => {
  assert.equal(
    objectUrl({ bucket: 'pictures', region: 'eu-west-1', key: 'uploads/a b/100%+한?#.jpg' }),
    'https://pictures.s3.eu-west-1.amazonaws.com/uploads/a%20b/100%25%2B%ED%95%9C%3F%23.jpg',
  )
})

test('the key in the address of an object is the one that it was made of', () => {
  for (const key of ['generated/a b/100%+한?#😀.wav', 'generated/%2F/../a.wav', 'generated//a.wav']) {
    assert.equal(objectKey(objectUrl({ bucket: 'pictures', region: 'eu-west-1', key })), key)
  }
})

test('sequencers of unequal length compare as text once normalised', () => {
  const [earlier, later] = ['0055aed6dcd90281e5', '0055AED6DCD90281E6AB'].map(normalizeSequencer)
  assert.ok(earlier! < later!)
  assert.equal(normalizeSequencer('ab'), normalizeSequencer('AB00'))
})

test('what is put in after a sequencer comes before every later one of S3, and in the order of its putting in', () => {
  const known = '0062E99A88DC407460'
  const first = sequencerAfter(known, new Date('2026-01-02T03:04:05Z'))
  const second = sequencerAfter(first, new Date('2026-01-02T03:04:05Z'))
  const third = sequencerAfter(second, new Date('2026-01-02T03:04:06Z'))
  const real = ['0062E99A88DC407461', '0062E99A88DC4075', '0062E99A89'].map(normalizeSequencer)
  const ordered = [normalizeSequencer(known), first, second, third, ...real]
  assert.deepEqual(ordered, ordered.toSorted())
  assert.equal(new Set(ordered).size, ordered.length)
  for (const each of ordered) assert.match(each, /^[0-9A-F]{64}$/)
  assert.ok(sequencerAfter('', new Date()) < normalizeSequencer('000001'), 'where none is known, before all')
  assert.equal(sequencerAfter('F'.repeat(64), new Date()), 'F'.repeat(64))
})
