import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readDeadLetter, replayedAttributes } from '#shared/dead-letters/dead-letter.ts'

const text = (StringValue: string) => ({ DataType: 'String', StringValue })

test('a message may say anything of itself: what has not the right form counts as not said', () => {
  for (const failedAtText of ['tomorrow', '+012026-01-01T00:00:00Z', '1969-12-31T23:59:59Z']) {
    const { failedAt, sentAt, attempts, replays, imageKeys, reasonCode } = readDeadLetter({
      MessageId: 'm',
      Body: 'hello',
      Attributes: { SentTimestamp: '1000' },
      MessageAttributes: {
        failed_at: text(failedAtText),
        attempts: text('-1'),
        replay_count: text('NaN'),
        image_key: text('uploads/%ff.jpg'),
        reason_code: { DataType: 'Binary', BinaryValue: Buffer.from('x') },
      },
    })
    assert.deepEqual({ attempts, replays, reasonCode }, { attempts: undefined, replays: 0, reasonCode: undefined })
    assert.deepEqual([failedAt, sentAt], [new Date(1000), new Date(1000)])
    assert.deepEqual(imageKeys, ['uploads/%ff.jpg'])
  }
})

test('a message sent again keeps its own attributes and the id of its failure, and is counted', () => {
  const failure = ['reason_code', 'reason', 'failed_at', 'attempts', 'image_key', 'failure_id']
  const attributes = Object.fromEntries([...failure, 'own'].map((name) => [name, text('x')]))
  const replayed = replayedAttributes(attributes)
  const count = (value: string) => ({ DataType: 'Number', StringValue: value })
  assert.deepEqual(replayed, { failure_id: text('x'), own: text('x'), replay_count: count('1') })
  assert.deepEqual(replayedAttributes(replayed).replay_count, count('2'))
})

test('a message with as many attributes as SQS takes is sent again with ours, and without its last', () => {
  const attributes = Object.fromEntries([...'abcdefghij'].map((name) => [name, text(name)]))
  assert.deepEqual(Object.keys(replayedAttributes(attributes)), ['replay_count', ...'abcdefghi'])
})
