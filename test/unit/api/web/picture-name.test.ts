import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nameOf } from '../../../../services/api/web/picture-name.ts'

test('a picture is called as its file is, but not by an id', () => {
  assert.equal(
    nameOf('uploads/2026/01/02/0b4f3a52-6f0d-4f3e-9a51-3a8a2a0f1c77/Evening-by-the-sea.png'),
    'Evening by the sea',
  )
  assert.equal(nameOf('uploads/그림-1.jpg'), '그림 1')
  assert.equal(nameOf('uploads/a.b/no_extension'), 'no extension')
  assert.equal(nameOf('uploads/2026/01/02/0b4f3a52-6f0d-4f3e-9a51-3a8a2a0f1c77.jpg'), undefined)
  assert.equal(nameOf('uploads/.jpg'), undefined)
})
