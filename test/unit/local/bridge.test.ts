import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FauxqsServer, SpyMessage } from 'fauxqs'
import { readQueueMessage } from '#shared/contract/queue-message.ts'
import { createBridge, createSequencer } from '../../../services/local/bridge.ts'

/** The part of the emulator's spy that the bridge uses: it asks a waiter about each event as it happens. */
function createSpy() {
  let ask: ((event: SpyMessage) => boolean) | undefined
  const spy = {
    waitForMessage(filter: unknown) {
      ask = filter as typeof ask
      return new Promise(() => {})
    },
  } as unknown as FauxqsServer['spy']
  const upload = (key: string, { bucket = 'b', status = 'uploaded' as const, timestamp = 1_000 } = {}) =>
    ask!({ service: 's3', bucket, key, status, timestamp })
  return { spy, upload }
}

function createTestBridge(head: (key: string) => Promise<{ etag: string; size: number } | undefined>) {
  const { spy, upload } = createSpy()
  const sent: string[] = []
  const errors: unknown[] = []
  const bridge = createBridge({
    spy,
    bucket: 'b',
    region: 'r',
    prefix: 'uploads/',
    head,
    send: (body) => sent.push(body),
    onError: (error) => errors.push(error),
  })
  const keys = () =>
    sent.map((body) => {
      const message = readQueueMessage(body)
      assert.equal(message.kind, 'uploads')
      return message.kind === 'uploads' && message.uploads[0]!.key
    })
  return { bridge, upload, sent, errors, keys }
}

test('an upload becomes the message that S3 would send', async () => {
  const { bridge, upload, sent } = createTestBridge(async () => ({ etag: 'abc', size: 7 }))
  upload('uploads/a b+c.jpg', { timestamp: Date.UTC(2026, 0, 2) })
  await bridge.close()
  assert.equal(sent.length, 1)
  const [record] = JSON.parse(sent[0]!).Records
  assert.equal(record.eventVersion, '2.1')
  assert.equal(record.eventName, 'ObjectCreated:Put')
  assert.equal(record.s3.object.key, 'uploads/a+b%2Bc.jpg')
  assert.deepEqual(readQueueMessage(sent[0]!), {
    kind: 'uploads',
    uploads: [
      {
        bucket: 'b',
        key: 'uploads/a b+c.jpg',
        version: 'abc',
        etag: 'abc',
        size: 7,
        sequencer: '00019B7C0104000000',
        eventTime: '2026-01-02T00:00:00.000Z',
      },
    ],
  })
})

test('other buckets, other prefixes and other events are not announced', async () => {
  const { bridge, upload, sent } = createTestBridge(async () => ({ etag: 'abc', size: 7 }))
  upload('uploads/a', { bucket: 'other' })
  upload('generated/a')
  upload('uploads/a', { status: 'downloaded' as 'uploaded' })
  await bridge.close()
  assert.deepEqual(sent, [])
})

test('no upload of a burst is missed, and their order is kept', async () => {
  const { bridge, upload, keys } = createTestBridge(async () => ({ etag: 'abc', size: 7 }))
  const burst = Array.from({ length: 2_000 }, (_, index) => `uploads/${index}`)
  for (const key of burst) upload(key)
  await bridge.close()
  assert.deepEqual(keys(), burst)
})

test('the emulator refuses the upload that would be one too many', async () => {
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const { bridge, upload, keys } = createTestBridge(async () => held.then(() => ({ etag: 'abc', size: 7 })))
  for (let index = 0; index < 10_000; index++) upload(`uploads/${index}`)
  assert.throws(() => upload('uploads/more'), /10000 uploads are waiting/)
  release()
  await bridge.close()
  assert.equal(keys().length, 10_000)
})

test('an upload that cannot be looked up is reported, and the next is announced', async () => {
  const { bridge, upload, errors, keys } = createTestBridge(async (key) => {
    if (key === 'uploads/broken') throw new Error('away')
    return key === 'uploads/gone' ? undefined : { etag: 'abc', size: 7 }
  })
  for (const key of ['uploads/broken', 'uploads/gone', 'uploads/fine']) upload(key)
  await bridge.close()
  assert.match(String(errors), /away/)
  assert.deepEqual(keys(), ['uploads/fine'])
})

test('sequencers grow within a millisecond, with a clock that steps back, and are of one width', () => {
  const next = createSequencer()
  const sequencers = [next(1_000), next(1_000), next(999), next(1_001), next(2 ** 43)]
  assert.deepEqual(sequencers, sequencers.toSorted())
  assert.equal(new Set(sequencers).size, sequencers.length)
  for (const sequencer of sequencers) assert.match(sequencer, /^[0-9A-F]{18}$/)
})
