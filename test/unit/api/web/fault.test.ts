import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeCode } from '../../../../services/api/web/fault.ts'
import { words } from '../../../../services/api/web/words.ts'

test('a code is told in words, and one that the page does not know in general ones, whatever it is called', () => {
  assert.equal(describeCode('IMAGE_EMPTY'), words.errors.IMAGE_EMPTY)
  for (const code of ['', 'IMAGE_PINK', 'constructor', 'toString', '__proto__']) {
    assert.equal(describeCode(code), words.errors.INTERNAL_ERROR)
  }
})
