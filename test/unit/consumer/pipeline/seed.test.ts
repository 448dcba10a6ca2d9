import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seedOf } from '../../../../services/consumer/pipeline/seed.ts'

test('a seed follows from the bytes of the picture and the take', () => {
  // printf 'abc0' | sha256sum
  assert.equal(seedOf(Buffer.from('abc'), 0), 0x56abfbd7)
  assert.notEqual(seedOf(Buffer.from('abc'), 0), seedOf(Buffer.from('abc'), 1))
})
