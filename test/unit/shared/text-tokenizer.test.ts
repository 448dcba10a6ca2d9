import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { createTextTokenizer } from '#shared/text-tokenizer.ts'
import { tinyTokenizer } from '../../../services/models/musicgen/tiny-tokenizer.ts'
import golden from '../../golden/tokenizer.json' with { type: 'json' }

const endToken = 1

describe('the tokenizer', () => {
  it('gives 200 strings the ids of the reference', () => {
    const tokenizer = createTextTokenizer(tinyTokenizer(), Number.POSITIVE_INFINITY)
    assert.equal(golden.length, 200)
    for (const { text, times, ids, count, sha256 } of golden) {
      const found = tokenizer.encode(text.repeat(times)).ids
      const name = `${JSON.stringify(text)} x ${times}`
      if (ids) assert.deepEqual(found, ids, name)
      else assert.deepEqual({ count: found.length, sha256: digest(found) }, { count, sha256 }, name)
    }
  })

  it('cuts what is beyond the model’s limit, says so, and keeps the end token', () => {
    const whole = createTextTokenizer(tinyTokenizer(), 6).encode('slow piano and warm strings')
    assert.deepEqual([whole.ids.length, whole.truncated], [6, false])
    const cut = createTextTokenizer(tinyTokenizer(), 5).encode('slow piano and warm strings')
    assert.deepEqual(cut, { ids: [...whole.ids.slice(0, 4), endToken], truncated: true })
    assert.equal(whole.ids.at(-1), endToken)
  })
})

function digest(ids: number[]): string {
  return createHash('sha256').update(JSON.stringify(ids)).digest('hex')
}
