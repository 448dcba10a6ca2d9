import assert from 'node:assert/strict'
import { test } from 'node:test'
import { printable } from '#shared/printable.ts'

test('a name cannot move the cursor, feign a line or turn its end around; all else is shown', () => {
  assert.equal(printable('a\n\x1b[2J\x7f\x9b\u2028\u202egpj.b'), 'a??[2J????gpj.b')
  assert.equal(printable('글 +%2F 👩‍🎨.jpg'), '글 +%2F 👩‍🎨.jpg')
})
