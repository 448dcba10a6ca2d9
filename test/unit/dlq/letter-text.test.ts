import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatBody } from '../../../services/dlq/letter-text.ts'

test('JSON is laid out, and anything else shown as it came', () => {
  assert.equal(formatBody('{"a":[1]}'), '{\n  "a": [\n    1\n  ]\n}')
  assert.equal(formatBody('hello'), 'hello')
})

test('JSON that is nested so deeply that laying it out makes it many times as long is shown as it came', () => {
  const hostile = `${'['.repeat(200)}${Array(5_000).fill(1).join()}${']'.repeat(200)}`
  assert.equal(formatBody(hostile), hostile)
})
