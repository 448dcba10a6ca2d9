import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seedOf } from '../../../../services/consumer/pipeline/seed.ts'

test('a seed follows from the bytes of the picture', () => {
  // printf 'abc0' | sha256sum
  assert.equal(seedOf(Buffer.from('abc')), 0x56abfbd7)
})
