import assert from 'node:assert/strict'
import { test } from 'node:test'
import { galleryAddress, hasAddress, resultAddress } from '../../../../services/api/web/address.ts'

test('a result is led to by its key, whatever is in it, its version and its take', () => {
  const key = 'uploads/그림 1/a+b%?#&.jpg'
  const address = resultAddress({ key, version: 'v/1', take: 2 })
  assert.equal(address, '#/results/uploads/%EA%B7%B8%EB%A6%BC%201/a%2Bb%25%3F%23%26.jpg?version=v%2F1&take=2')
  const [path, query] = address.slice('#/results/'.length).split('?')
  assert.equal(path!.split('/').map(decodeURIComponent).join('/'), key)
  assert.equal(new URLSearchParams(query).get('version'), 'v/1')
  assert.equal(resultAddress({ key: 'uploads/1.jpg' }), '#/results/uploads/1.jpg')
})

test('a key that browsers would take for another has no address', () => {
  assert.deepEqual(['uploads/a/../b.jpg', 'uploads/./b.jpg', 'uploads/..'].map(hasAddress), [false, false, false])
  assert.deepEqual(['uploads/a..b.jpg', 'uploads/.hidden', 'uploads/a...'].map(hasAddress), [true, true, true])
})

test('the gallery is led to with the filters in force alone', () => {
  assert.equal(galleryAddress({}), '#/gallery')
  const address = galleryAddress({ genre: 'still life', style: 'Ukiyo-e & more' })
  const parameters = new URLSearchParams(address.split('?')[1])
  assert.deepEqual(
    [...parameters],
    [
      ['genre', 'still life'],
      ['style', 'Ukiyo-e & more'],
    ],
  )
})
