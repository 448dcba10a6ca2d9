import assert from 'node:assert/strict'
import { test } from 'node:test'
import { galleryAddress } from '../../../../services/api/web/gallery-address.ts'

test('the gallery is led to with the filters in force alone', () => {
  assert.equal(galleryAddress({}), '#/gallery')
  assert.equal(galleryAddress({ genre: '', style: 'Realism' }), '#/gallery?style=Realism')
  const address = galleryAddress({ genre: 'still life', style: 'Ukiyo-e & more' })
  assert.deepEqual(
    [...new URLSearchParams(address.split('?')[1])],
    [
      ['genre', 'still life'],
      ['style', 'Ukiyo-e & more'],
    ],
  )
})
