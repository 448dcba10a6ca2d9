import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readDeadLetter } from '#shared/dead-letters/dead-letter.ts'
import { createFilter, type Filter } from '#shared/dead-letters/filter.ts'

const now = Date.parse('2026-01-02T00:00:00Z')
const text = (StringValue: string) => ({ DataType: 'String', StringValue })
const letters = {
  image: readDeadLetter({
    MessageId: 'image',
    Body: 'a BODY',
    MessageAttributes: {
      reason_code: text('IMAGE_EMPTY'),
      reason: text('Nothing in it'),
      failed_at: text('2026-01-01T23:00:00Z'),
      image_key: text('uploads/%ED%95%9C.jpg'),
    },
  }),
  bySqs: readDeadLetter({
    MessageId: 'bySqs',
    Body: JSON.stringify({
      source: 'aws.s3',
      'detail-type': 'Object Created',
      time: '2026-01-01T00:00:00Z',
      detail: { bucket: { name: 'pictures' }, object: { key: 'uploads/b.jpg', etag: 'e1' } },
    }),
    Attributes: { SentTimestamp: String(Date.parse('2026-01-01T00:00:00Z')) },
  }),
}

for (const [filter, ids] of [
  [{}, ['image', 'bySqs']],
  [{ id: ['bySqs', 'other'] }, ['bySqs']],
  [{ code: ['IMAGE_EMPTY', 'IMAGE_CORRUPT'] }, ['image']],
  [{ code: ['none'] }, ['bySqs']],
  [{ prefix: 'uploads/' }, ['image', 'bySqs']],
  [{ prefix: 'uploads/한' }, ['image']],
  [{ olderThan: 7_200_000 }, ['bySqs']],
  [{ newerThan: 7_200_000 }, ['image']],
  [{ text: 'body' }, ['image']],
  [{ text: 'nothing IN' }, ['image']],
  [{ text: '한' }, ['image']],
  [{ text: '.jpg', newerThan: 60_000 }, []],
] as [Filter, string[]][]) {
  test(`${JSON.stringify(filter)} chooses ${ids.join(' and ') || 'none'}`, () => {
    const chosen = Object.values(letters).filter(createFilter(filter, now))
    assert.deepEqual(
      chosen.map(({ id }) => id),
      ids,
    )
  })
}
