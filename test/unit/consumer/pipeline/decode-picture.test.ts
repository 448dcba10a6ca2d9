import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import { pictureTypes } from '#shared/contract/picture-type.ts'
import { PermanentFailure } from '#shared/failure.ts'
import { decodePicture } from '../../../../services/consumer/pipeline/decode-picture.ts'
import { sniffPictureType } from '../../../../services/consumer/pipeline/picture-type.ts'
import { badPictures, drawPicture, goodPictures } from '../../../picture.ts'

const bounds = { maxPixels: 100_000_000 }

for (const [name, make] of Object.entries(goodPictures)) {
  test(`${name} is decoded to sRGB`, async () => {
    const { space, depth, width, height } = await (await decodePicture(await make(), bounds)).metadata()
    assert.equal(space, 'srgb')
    assert.equal(depth, 'uchar')
    assert.ok(width >= 1 && width <= 1024 && height >= 1 && height <= 1024)
  })
}

for (const [name, { make, code }] of Object.entries(badPictures)) {
  test(`${name} is refused as ${code}`, async () => {
    await rejectsAs(code, await make())
  })
}

for (const [type, { contentType, extension }] of Object.entries(pictureTypes)) {
  test(`${contentType}, which may be uploaded, is read as ${type}`, async () => {
    const make = goodPictures[`photo.${extension}`]
    assert.ok(make)
    assert.equal(sniffPictureType(await make()), type)
  })
}

test('a picture is turned as its EXIF says and reduced to 1,024 pixels a side', async () => {
  const lying = await drawPicture(1, { width: 1600, height: 400 }).withMetadata({ orientation: 6 }).jpeg().toBuffer()
  const { width, height } = await (await decodePicture(lying, bounds)).metadata()
  assert.deepEqual([width, height], [256, 1024])
})

test('of several frames the first is taken', async () => {
  const frames = await Promise.all(
    ['#ff0000', '#0000ff'].map((background) =>
      sharp({ create: { width: 8, height: 8, channels: 3, background } })
        .png()
        .toBuffer(),
    ),
  )
  const moving = await sharp(frames, { join: { animated: true } })
    .gif()
    .toBuffer()
  const [red, , blue] = await (await decodePicture(moving, bounds)).removeAlpha().raw().toBuffer()
  assert.ok(red! > 200 && blue! < 50)
})

test('pixels are counted before decoding, exactly', async () => {
  const picture = await drawPicture(1, { width: 20, height: 10 }).png().toBuffer()
  await decodePicture(picture, { maxPixels: 200 })
  await rejectsAs('IMAGE_TOO_MANY_PIXELS', picture, { maxPixels: 199 })
})

for (const [name, bytes, code] of [
  ['one byte', Buffer.from([0xff]), 'IMAGE_UNSUPPORTED_TYPE'],
  ['the first bytes of a JPEG and nothing else', Buffer.from([0xff, 0xd8, 0xff]), 'IMAGE_CORRUPT'],
  ['a PNG signature followed by an SVG', Buffer.from('\x89PNG\r\n\x1a\n<svg/>', 'latin1'), 'IMAGE_CORRUPT'],
  ['an HTML page', Buffer.from('<!doctype html><title>404</title>'), 'IMAGE_UNSUPPORTED_TYPE'],
  ['a film', Buffer.from('\0\0\0\x18ftypmp42\0\0\0\0', 'latin1'), 'IMAGE_UNSUPPORTED_TYPE'],
  ['a WAV', Buffer.from('RIFF\0\0\0\0WAVEfmt ', 'latin1'), 'IMAGE_UNSUPPORTED_TYPE'],
] as const) {
  test(`${name} is refused as ${code}`, async () => {
    await rejectsAs(code, bytes)
  })
}

async function rejectsAs(code: string, bytes: Buffer, options = bounds): Promise<void> {
  await assert.rejects(decodePicture(bytes, options), (error) => {
    assert.ok(error instanceof PermanentFailure)
    assert.equal(error.code, code)
    return true
  })
}
