import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readQueueMessage } from '#shared/contract/queue-message.ts'

const eventTime = '2026-01-02T03:04:05.678Z'

const upload = {
  bucket: 'pictures',
  key: 'uploads/a.jpg',
  version: 'd41d8cd98f00b204e9800998ecf8427e',
  etag: 'd41d8cd98f00b204e9800998ecf8427e',
  size: 12,
  sequencer: '0062E0B9B04E7E3E12',
  eventTime,
}

test('an S3 notification names its pictures', () => {
  assert.deepEqual(read(notification(record())), { kind: 'uploads', uploads: [upload] })
})

test('all records of a notification are read, and those of other events left out', () => {
  const read3 = read(
    notification(
      record({ key: 'uploads/1.jpg' }),
      record({ key: 'uploads/2.jpg' }, { eventName: 'ObjectRemoved:Delete' }),
      record({ key: 'uploads/3.jpg' }, { eventName: 's3:ObjectCreated:CompleteMultipartUpload', eventVersion: '2.3' }),
    ),
  )
  assert.deepEqual(keysOf(read3), ['uploads/1.jpg', 'uploads/3.jpg'])
})

test('the version id names the version where there is one, else the etag', () => {
  const [versioned] = uploadsOf(notification(record({ versionId: 'v-1' })))
  assert.equal(versioned!.version, 'v-1')
  assert.equal(versioned!.versionId, 'v-1')
  const [unversioned] = uploadsOf(notification(record({ versionId: 'null', eTag: '"abc"' })))
  assert.equal(unversioned!.version, 'abc')
  assert.equal(unversioned!.versionId, undefined)
})

for (const [encoded, key] of [
  ['uploads/a+b.jpg', 'uploads/a b.jpg'],
  ['uploads/a%2Bb.jpg', 'uploads/a+b.jpg'],
  ['uploads/a%252Fb.jpg', 'uploads/a%2Fb.jpg'],
  ['uploads/%ED%95%9C%EA%B8%80.jpg', 'uploads/한글.jpg'],
  ['uploads/%F0%9F%8E%A8.jpg', 'uploads/🎨.jpg'],
  ['uploads/a%00b', 'uploads/a\0b'],
  [`uploads/${'%F0%9F%8E%A8'.repeat(254)}`, `uploads/${'🎨'.repeat(254)}`],
] as const) {
  test(`the key ${encoded.slice(0, 40)} is decoded`, () => {
    assert.deepEqual(keysOf(read(notification(record({ key: encoded })))), [key])
  })
}

for (const [name, key] of [
  ['a percent sign that encodes nothing', 'uploads/100%.jpg'],
  ['bytes that are no UTF-8', 'uploads/%FF.jpg'],
  ['half of a surrogate pair', 'uploads/\ud800.jpg'],
  ['more than 1,024 bytes', `uploads/${'%F0%9F%8E%A8'.repeat(255)}`],
  ['nothing', ''],
] as const) {
  test(`a key of ${name} is unreadable`, () => {
    assert.equal(read(notification(record({ key }))).kind, 'unreadable')
  })
}

test('a notification inside an SNS envelope is read', () => {
  const envelope = { Type: 'Notification', TopicArn: 'arn:aws:sns:x', Message: JSON.stringify(notification(record())) }
  assert.deepEqual(read(envelope), { kind: 'uploads', uploads: [upload] })
  assert.match(reasonOf({ ...envelope, Message: 'hello' }), /SNS envelope is not JSON/)
})

test('an EventBridge event is read, its key being as it is', () => {
  const event = objectCreated()
  assert.deepEqual(read(event), {
    kind: 'uploads',
    uploads: [{ ...upload, key: 'uploads/100% a+b.jpg', version: 'v-1', versionId: 'v-1' }],
  })
  assert.deepEqual(read({ ...event, 'detail-type': 'Object Deleted' }), { kind: 'nothing', reason: 'Object Deleted' })
})

test('nothing follows from a test event or from deletions', () => {
  assert.equal(read({ Service: 'Amazon S3', Event: 's3:TestEvent', Bucket: 'pictures' }).kind, 'nothing')
  assert.equal(read(notification(record({}, { eventName: 'ObjectRemoved:Delete' }))).kind, 'nothing')
})

for (const [name, body, reason] of [
  ['an empty body', '', /not JSON/],
  ['text', 'hello', /not JSON/],
  ['another JSON', '{"hello":1}', /not an S3 event/],
  ['null', 'null', /not an S3 event/],
  ['no records', JSON.stringify({ Records: [] }), /not an S3 event/],
  ['too many records', JSON.stringify(notification(...Array(1001).fill(record()))), /not an S3 event/],
  ['another service', JSON.stringify(notification(record({}, { eventSource: 'aws:sns' }))), /eventSource/],
  ['event version 3', JSON.stringify(notification(record({}, { eventVersion: '3.0' }))), /eventVersion/],
  ['no version at all', JSON.stringify(notification(record({ eTag: undefined }))), /neither versionId nor eTag/],
  ['a size past what numbers count', JSON.stringify(notification(record({ size: 1e30 }))), /size/],
  ['an etag with a newline', JSON.stringify(notification(record({ eTag: 'abc\n' }))), /eTag/],
  ['an etag with a space', JSON.stringify(notification(record({ eTag: 'a b' }))), /eTag/],
  ['a version id beyond ASCII', JSON.stringify(notification(record({ versionId: '한글' }))), /versionId/],
  ['an endless detail-type', JSON.stringify({ ...objectCreated(), 'detail-type': 'x'.repeat(129) }), /not an S3 event/],
  ['a size that is no number', JSON.stringify(notification(record({ size: 'big' }))), /size/],
] as const) {
  test(`${name} is unreadable, with a reason`, () => {
    const message = readQueueMessage(body)
    assert.ok(message.kind === 'unreadable')
    assert.match(message.reason, reason)
  })
}

function record(object: object = {}, event: object = {}) {
  const { key, size, etag: eTag, sequencer } = upload
  return {
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    eventName: 'ObjectCreated:Put',
    eventTime,
    ...event,
    s3: { bucket: { name: upload.bucket }, object: { key, size, eTag, sequencer, ...object } },
  }
}

function objectCreated() {
  return {
    source: 'aws.s3',
    'detail-type': 'Object Created',
    time: eventTime,
    detail: {
      bucket: { name: 'pictures' },
      object: {
        key: 'uploads/100% a+b.jpg',
        size: 12,
        etag: upload.etag,
        'version-id': 'v-1',
        sequencer: upload.sequencer,
      },
    },
  }
}

function notification(...records: object[]) {
  return { Records: records }
}

function read(body: object) {
  return readQueueMessage(JSON.stringify(body))
}

function uploadsOf(body: object) {
  const message = read(body)
  assert.ok(message.kind === 'uploads')
  return message.uploads
}

function keysOf(message: ReturnType<typeof readQueueMessage>) {
  assert.ok(message.kind === 'uploads')
  return message.uploads.map(({ key }) => key)
}

function reasonOf(body: object) {
  const message = read(body)
  assert.ok(message.kind === 'unreadable')
  return message.reason
}
