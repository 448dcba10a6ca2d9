import assert from 'node:assert/strict'
import { test } from 'node:test'
import { imageKeyFault, jobId, keyDigest, musicKey, normalizeSequencer, objectUrl } from '#shared/contract/key.ts'

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

test('an address is percent-encoded segment by segment', () => {
  assert.equal(
    objectUrl({ bucket: 'pictures', region: 'eu-west-1', key: 'uploads/a b/100%+한?#.jpg' }),
    'https://pictures.s3.eu-west-1.amazonaws.com/uploads/a%20b/100%25%2B%ED%95%9C%3F%23.jpg',
  )
})

test('sequencers of unequal length compare as text once normalised', () => {
  const [earlier, later] = ['0055aed6dcd90281e5', '0055AED6DCD90281E6AB'].map(normalizeSequencer)
  assert.ok(earlier! < later!)
  assert.equal(normalizeSequencer('ab'), normalizeSequencer('AB00'))
})
