import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readQueueMessage } from '#shared/contract/queue-message.ts'
import { formEncodeKey, s3Notification } from '#shared/contract/s3-notification.ts'

test('keys are form-encoded as S3 does it', () => {
  assert.equal(formEncodeKey('uploads/a b'), 'uploads/a+b')
  assert.equal(formEncodeKey('uploads/100%/1+1'), 'uploads/100%25/1%2B1')
  assert.equal(formEncodeKey("uploads/%2F!'()~*-._"), 'uploads/%252F%21%27%28%29%7E*-._')
  assert.equal(formEncodeKey('uploads/가😀'), 'uploads/%EA%B0%80%F0%9F%98%80')
})

for (const [bucket, versionId] of [
  ['a versioned', 'v.1_-'],
  ['an unversioned', undefined],
] as const) {
  test(`a notification about ${bucket} bucket is read as it was meant`, () => {
    const upload = { bucket: 'pictures', key: 'uploads/그림 +%😀.jpg', etag: 'e1', size: 3, sequencer: '0A' }
    const created = { ...upload, ...(versionId && { versionId }), eventTime: '2026-01-02T03:04:05.000Z' }
    const body = s3Notification({ ...created, region: 'r', principal: 'test', requestId: 'R' })
    assert.deepEqual(readQueueMessage(body), { kind: 'uploads', uploads: [{ ...created, version: versionId ?? 'e1' }] })
  })
}
