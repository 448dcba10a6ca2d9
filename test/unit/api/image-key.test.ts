import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PermanentFailure } from '#shared/failure.ts'
import { readImageKey } from '../../../services/api/image-key.ts'

const path = '/v1/results/'

for (const [raw, key] of [
  ['uploads/a.jpg', 'uploads/a.jpg'],
  ['uploads%2Fa%2Fb.jpg', 'uploads/a/b.jpg'],
  ['uploads/a+b.jpg?version=1', 'uploads/a+b.jpg'],
  ['uploads/a%2Bb.jpg', 'uploads/a+b.jpg'],
  ['uploads/a%20b%3Fc%23.jpg', 'uploads/a b?c#.jpg'],
  ['uploads/100%25.jpg', 'uploads/100%.jpg'],
  ['uploads/%252F.jpg', 'uploads/%2F.jpg'],
  ['uploads//a;b=c&d', 'uploads//a;b=c&d'],
  ['uploads/..a/b..', 'uploads/..a/b..'],
  [`uploads/${encodeURIComponent('그림😀')}`, 'uploads/그림😀'],
  [`uploads/${encodeURIComponent('한'.repeat(338))}ab`, `uploads/${'한'.repeat(338)}ab`],
] as const) {
  test(`${raw.slice(0, 60)} is the key ${key.slice(0, 40)}`, () => {
    assert.equal(readImageKey(path + raw, path), key)
  })
}

for (const [raw, reason] of [
  ['', /does not begin with uploads\//],
  ['uploads/', /does not begin with uploads\/ and go on/],
  ['generated/a.wav', /does not begin with uploads\//],
  ['Uploads/a.jpg', /does not begin with uploads\//],
  ['uploads/../secret', /"\." or "\.\."/],
  ['uploads/%2E%2E/secret', /"\." or "\.\."/],
  ['uploads/a/.', /"\." or "\.\."/],
  ['uploads/a%00.jpg', /nul byte/],
  ['uploads/%zz', /not percent-encoded UTF-8/],
  ['uploads/%ff', /not percent-encoded UTF-8/],
  ['uploads/%ED%A0%80', /not percent-encoded UTF-8/],
  [`uploads/${'a'.repeat(1017)}`, /1025 bytes of UTF-8; at most 1024/],
] as const) {
  test(`${raw.slice(0, 40)} is refused`, () => {
    assert.throws(
      () => readImageKey(path + raw, path),
      (error: PermanentFailure) => error.code === 'INVALID_REQUEST' && reason.test(error.message),
    )
  })
}

test('a path that is encoded where it is ours is refused', () => {
  assert.throws(() => readImageKey('/v1/%72esults/uploads/a', path), /must begin with \/v1\/results\/, not encoded/)
})
