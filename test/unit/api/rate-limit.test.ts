import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRateLimit } from '../../../services/api/rate-limit.ts'

test('what is counted takes a bounded memory: at 100,000 names all begin anew', () => {
  const { take, look } = createRateLimit({ limit: 1, now: () => 0 })
  take('0')
  assert.equal(take('0').isOver, true)
  for (let name = 1; name < 100_000; name++) take(String(name))
  assert.equal(look('0').isOver, false)
})
