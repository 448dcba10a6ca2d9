import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressOf, nameOf } from '../../../../services/api/web/result-address.ts'

test('an address names key, version and take, whatever is in them', () => {
  assert.equal(addressOf({ key: 'uploads/a.jpg' }), '#/results/uploads/a.jpg')
  assert.equal(
    addressOf({ key: 'uploads/a?b#c %/그림.jpg', version: 'a+b/=', take: 3 }),
    '#/results/uploads/a%3Fb%23c%20%25/%EA%B7%B8%EB%A6%BC.jpg?version=a%2Bb%2F%3D&take=3',
  )
  assert.equal(addressOf({ key: 'uploads/a.jpg', version: 'v', take: 0 }), '#/results/uploads/a.jpg?version=v')
})

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
