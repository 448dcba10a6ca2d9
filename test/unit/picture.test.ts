import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp, { type Metadata } from 'sharp'
import { decodePicture } from '../../services/consumer/pipeline/decode-picture.ts'
import { measurePicture } from '../../services/consumer/pipeline/picture-traits.ts'
import { badPictures, blackPng, drawPicture, goodPictures } from '../picture.ts'

const maxPixels = 100_000_000

const expected: Record<string, Partial<Metadata>> = {
  'photo.jpg': { format: 'jpeg', width: 320, height: 240, space: 'srgb' },
  'photo.png': { format: 'png', space: 'srgb', hasAlpha: false },
  'photo.webp': { format: 'webp' },
  'photo.gif': { format: 'gif' },
  'photo.tiff': { format: 'tiff' },
  'photo.avif': { format: 'heif', compression: 'av1' },
  'turned.jpg': { format: 'jpeg', orientation: 6 },
  'inks.jpg': { format: 'jpeg', space: 'cmyk', channels: 4 },
  'gray.jpg': { format: 'jpeg', space: 'b-w', channels: 1 },
  'deep.png': { format: 'png', space: 'rgb16', depth: 'ushort' },
  'clear.png': { format: 'png', hasAlpha: true },
  'dot.gif': { format: 'gif', width: 1, height: 1 },
  'moving.gif': { format: 'gif', pages: 3 },
}

for (const [name, make] of Object.entries(goodPictures)) {
  test(`${name} is what it says, decodes and has traits`, async () => {
    const bytes = await make()
    const metadata = await sharp(bytes).metadata()
    assert.deepEqual({ ...metadata, ...expected[name] }, metadata)
    assert.ok(expected[name])
    const { brightness, dominantColors } = await measurePicture(await decodePicture(bytes, { maxPixels }))
    assert.ok(brightness > 0 && brightness < 1)
    assert.ok(dominantColors.length)
    assert.ok(bytes.equals(await make()))
  })
}

for (const [name, { make, code }] of Object.entries(badPictures)) {
  test(`${name} is refused with ${code}`, async () => {
    await assert.rejects(decodePicture(await make(), { maxPixels }), { name: 'PermanentFailure', code })
  })
}

test('seeds give different pictures', async () => {
  const pixels = await Promise.all([1, 2, 3].map((seed) => drawPicture(seed).raw().toBuffer()))
  assert.equal(new Set(pixels.map((bytes) => bytes.toString('latin1'))).size, 3)
})

test('the PNG written here is one that decodes, however large it is', async () => {
  const { data, info } = await sharp(blackPng(13, 7)).raw().toBuffer({ resolveWithObject: true })
  assert.deepEqual([info.width, info.height], [13, 7])
  assert.ok(data.every((value) => value === 0))
  const bomb = await badPictures['bomb.png']!.make()
  assert.ok(bomb.length < 100_000)
  const { width, height } = await sharp(bomb, { limitInputPixels: false }).metadata()
  assert.deepEqual([width, height], [20_000, 20_000])
})
