import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Result } from '#shared/contract/result.ts'
import type { PermanentFailure } from '#shared/failure.ts'
import { readImageUrl } from '../../../services/api/image-url.ts'
import { presignUrls } from '../../../services/api/presigned-url.ts'
import { testPresigner } from '../../presigner.ts'

const ours = { bucket: 'pictures', region: 'eu-west-1' }
const base = 'https://pictures.s3.eu-west-1.amazonaws.com'

for (const [address, key, version] of [
  [`${base}/uploads/a.jpg`, 'uploads/a.jpg'],
  [`${base}/uploads/a%20b%2Bc.jpg`, 'uploads/a b+c.jpg'],
  [`${base}/uploads/a+b.jpg`, 'uploads/a+b.jpg'],
  [`${base}/uploads/100%25.jpg`, 'uploads/100%.jpg'],
  [`${base}/uploads/${encodeURIComponent('그림😀')}.jpg`, 'uploads/그림😀.jpg'],
  [`${base}/uploads/그림.jpg`, 'uploads/그림.jpg'],
  [`${base}/uploads/${encodeURIComponent('한'.repeat(338))}ab`, `uploads/${'한'.repeat(338)}ab`],
  [`${base}/uploads%2Fa.jpg`, 'uploads/a.jpg'],
  [`${base}/uploads/a.jpg?versionId=v%2B1`, 'uploads/a.jpg', 'v+1'],
  [`${base}/uploads/a.jpg?X-Amz-Signature=0a&X-Amz-Expires=60&x-id=GetObject`, 'uploads/a.jpg'],
  ['https://pictures.s3.amazonaws.com/uploads/a.jpg', 'uploads/a.jpg'],
  ['https://s3.eu-west-1.amazonaws.com/pictures/uploads/a.jpg', 'uploads/a.jpg'],
] as const) {
  test(`${address.slice(0, 90)} is a picture of ours`, () => {
    assert.deepEqual(readImageUrl(address, ours), { key, version })
  })
}

test('the local stack has pictures at its own address', () => {
  const endpoint = 'http://127.0.0.1:4566/'
  const address = 'http://127.0.0.1:4566/pictures/uploads/a.jpg'
  assert.equal(readImageUrl(address, { ...ours, endpoint }).key, 'uploads/a.jpg')
  assertRefused(address)
})

test('an address that the API itself has presigned is a picture of ours', async () => {
  const key = 'uploads/그림 1+1.jpg'
  const result: Result = { key, status: 'succeeded' }
  for (const versionId of ['v+1', null]) {
    const presigner = testPresigner(ours.bucket)
    const { image_url } = await presignUrls({ result, versionId }, { image_url: 'presigned' }, presigner)
    const wanted = { key, version: versionId ?? undefined }
    assert.deepEqual(readImageUrl(image_url!, { ...ours, region: 'us-east-1' }), wanted)
  }
})

for (const address of [
  '',
  'uploads/a.jpg',
  'pictures',
  base,
  `${base}/`,
  `${base}/generated/a.wav`,
  `${base}/uploads/../generated/a.wav`,
  `${base}/uploads/%2E%2E/a.jpg`,
  `${base}/uploads/a%00.jpg`,
  `${base}/uploads/%zz.jpg`,
  `${base}/uploads/${'a'.repeat(1017)}`,
  `${base}/uploads/a.jpg#part`,
  `${base}/uploads/a.jpg?url=http://169.254.169.254/`,
  `${base}:8443/uploads/a.jpg`,
  `${base}.evil.example/uploads/a.jpg`,
  `${base}@evil.example/uploads/a.jpg`,
  `${base}\\@evil.example/uploads/a.jpg`,
  `${base.replace('https', 'http')}/uploads/a.jpg`,
  `${base.replace('pictures', 'picture')}/uploads/a.jpg`,
  `${base.replace('pictures', 'ｐictures')}/uploads/a.jpg`,
  `${base.replace('pictures', 'user@pictures')}/uploads/a.jpg`,
  `${base.replace('eu-west-1', 'us-east-1')}/uploads/a.jpg`,
  ` ${base}/uploads/a.jpg`,
  'https://s3.eu-west-1.amazonaws.com/others/uploads/a.jpg',
  'https://s3.eu-west-1.amazonaws.com/pictures/../others/uploads/a.jpg',
  'https://pictures-s3.eu-west-1.amazonaws.com/uploads/a.jpg',
  'file:///etc/passwd',
  'http://169.254.169.254/latest/meta-data/',
  'http://127.0.0.1:4566/pictures/uploads/a.jpg',
  's3://pictures/uploads/a.jpg',
  'javascript:alert(1)',
  'data:image/png;base64,AA',
]) {
  test(`${JSON.stringify(address.slice(0, 90))} is refused`, () => assertRefused(address))
}

function assertRefused(address: string): void {
  assert.throws(
    () => readImageUrl(address, ours),
    (error: PermanentFailure) => error.code === 'INVALID_REQUEST',
  )
}
