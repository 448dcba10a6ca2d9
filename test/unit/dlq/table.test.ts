import assert from 'node:assert/strict'
import { test } from 'node:test'
import { columnsOf, cut } from '../../../services/dlq/table.ts'

for (const [name, columns] of [
  ['a.jpg', 5],
  ['한글', 4],
  ['한글'.normalize('NFD'), 4],
  ['é'.normalize('NFD'), 1],
  ['🎨', 2],
  ['👩‍🎨', 2],
  ['❤️', 2],
  ['日本', 4],
  ['\u200b', 0],
] as const) {
  test(`${name} takes ${columns} columns`, () => assert.equal(columnsOf(name), columns))
}

test('what is too long ends with an ellipsis within its columns, at a whole character', () => {
  assert.equal(cut('abcd', 4), 'abcd')
  assert.equal(cut('abcde', 4), 'abc…')
  assert.equal(cut('한글날', 4), '한…')
  assert.equal(cut('한글', 4), '한글')
  assert.equal(cut('👩‍🎨👩‍🎨👩‍🎨', 5), '👩‍🎨👩‍🎨…')
  assert.equal(cut('a'.repeat(2 ** 24), 3), 'aa…')
})
