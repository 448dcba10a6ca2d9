import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import { createUniform } from '../../../../services/consumer/musicgen/random.ts'
import { labOfRgb } from '../../../../services/consumer/pipeline/cielab.ts'
import {
  measurePicture,
  type PictureTraits,
  traitsOfPixels,
} from '../../../../services/consumer/pipeline/picture-traits.ts'

const flat = (background: string, width = 300, height = 200) =>
  sharp({ create: { width, height, channels: 3, background } })

/** sRGB pixels from a function of their number, as a picture. */
function drawn(width: number, height: number, rgbAt: (pixel: number) => [number, number, number]) {
  const rgb = Uint8Array.from(Array.from({ length: width * height }, (_, pixel) => rgbAt(pixel)).flat())
  return sharp(rgb, { raw: { width, height, channels: 3 } })
}

function assertSane({ brightness, contrast, warmth, colorfulness, dominantColors }: PictureTraits) {
  for (const value of [brightness, contrast, colorfulness]) assert.ok(value >= 0 && value <= 1, `${value}`)
  assert.ok(warmth >= -1 && warmth <= 1, `${warmth}`)
  assert.ok(dominantColors.length >= 1 && dominantColors.length <= 3)
  const shares = dominantColors.map(({ share }) => share)
  assert.deepEqual(
    shares,
    shares.toSorted((one, other) => other - one),
  )
  assert.ok(shares.at(-1)! > 0 && shares.reduce((sum, share) => sum + share) <= 1 + 1e-9)
  for (const { lab } of dominantColors) assert.ok(lab.every(Number.isFinite))
}

function assertNear(actual: number, expected: number, tolerance = 0.005) {
  assert.ok(Math.abs(actual - expected) <= tolerance, `expected about ${expected}, found ${actual}`)
}

const flats: [name: string, color: string, expected: Omit<PictureTraits, 'dominantColors' | 'contrast'>][] = [
  ['black', '#000000', { brightness: 0, warmth: 0, colorfulness: 0 }],
  ['white', '#ffffff', { brightness: 1, warmth: 0, colorfulness: 0 }],
  ['gray', '#808080', { brightness: 0.536, warmth: 0, colorfulness: 0 }],
  ['red', '#ff0000', { brightness: 0.532, warmth: 1, colorfulness: 0.785 }],
  ['blue', '#0000ff', { brightness: 0.323, warmth: -0.894, colorfulness: 0.702 }],
  ['green', '#00ff00', { brightness: 0.877, warmth: 0.233, colorfulness: 0.785 }],
  ['sepia', '#704214', { brightness: 0.327, warmth: 0.951, colorfulness: 0.228 }],
]

for (const [name, color, expected] of flats) {
  test(`flat ${name}`, async () => {
    const traits = await measurePicture(flat(color))
    assertSane(traits)
    assertNear(traits.brightness, expected.brightness)
    assertNear(traits.warmth, expected.warmth)
    assertNear(traits.colorfulness, expected.colorfulness)
    assert.equal(traits.contrast, 0)
    assert.equal(traits.dominantColors.length, 1)
    assert.equal(traits.dominantColors[0]!.share, 1)
  })
}

test('CIELAB agrees with published values of the sRGB primaries', () => {
  const published: [rgb: [number, number, number], lab: [number, number, number]][] = [
    [
      [255, 0, 0],
      [53.24, 80.09, 67.2],
    ],
    [
      [0, 255, 0],
      [87.74, -86.18, 83.18],
    ],
    [
      [0, 0, 255],
      [32.3, 79.19, -107.86],
    ],
    [
      [255, 255, 255],
      [100, 0, 0],
    ],
  ]
  for (const [rgb, expected] of published) {
    labOfRgb(...rgb).forEach((value, axis) => {
      assertNear(value, expected[axis]!, 0.03)
    })
  }
})

test('half black and half white has the largest contrast and two colors', async () => {
  const traits = await measurePicture(drawn(64, 64, (pixel) => (pixel < 2048 ? [0, 0, 0] : [255, 255, 255])))
  assertNear(traits.brightness, 0.5)
  assertNear(traits.contrast, 1)
  assert.equal(traits.colorfulness, 0)
  assert.deepEqual(
    traits.dominantColors.map(({ share }) => share),
    [0.5, 0.5],
  )
})

test('a gray ramp has the contrast of a uniform distribution of lightness', async () => {
  const traits = await measurePicture(drawn(101, 10, (pixel) => grayOfLightness(pixel % 101)))
  assertNear(traits.brightness, 0.5)
  assertNear(traits.contrast, 2 / Math.sqrt(12), 0.01)
  assertNear(traits.warmth, 0)
})

test('dominant colors are found with their shares, small ones left out', async () => {
  const traits = await measurePicture(
    drawn(100, 100, (pixel) => {
      if (pixel < 5000) return [30, 60, 160]
      if (pixel < 8000) return [200, 40, 30]
      return pixel < 9500 ? [235, 200, 90] : [20, 140, 60]
    }),
  )
  assert.deepEqual(
    traits.dominantColors.map(({ share }) => share),
    [0.5, 0.3, 0.15],
  )
  const [largest] = traits.dominantColors
  largest!.lab.forEach((value, axis) => {
    assertNear(value, labOfRgb(30, 60, 160)[axis]!, 1e-6)
  })
})

test('one pixel, one row, one column', async () => {
  const traits = await measurePicture(sharp(await flat('#ff0000', 1, 1).gif().toBuffer()))
  assertSane(traits)
  assert.deepEqual(traits, traitsOfPixels(Uint8Array.of(255, 0, 0)))
  assertSane(await measurePicture(flat('#123456', 10_000, 1)))
  assertSane(await measurePicture(flat('#123456', 1, 10_000)))
})

test('transparent parts count as white paper', async () => {
  const clear = sharp({ create: { width: 20, height: 20, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 0 } } })
  assert.deepEqual(await measurePicture(sharp(await clear.png().toBuffer())), await measurePicture(flat('#ffffff')))
})

test('gray, 16-bit and CMYK files are measured as what they show', async () => {
  const orange = await measurePicture(flat('#f08040'))
  const deep = await measurePicture(sharp(await flat('#f08040').toColourspace('rgb16').png().toBuffer()))
  const inks = await measurePicture(sharp(await flat('#f08040').toColourspace('cmyk').jpeg().toBuffer()))
  for (const other of [deep, inks]) {
    assertSane(other)
    assertNear(other.brightness, orange.brightness, 0.03)
    assertNear(other.warmth, orange.warmth, 0.1)
  }
  const gray = await measurePicture(sharp(await flat('#808080').toColourspace('b-w').png().toBuffer()))
  assertNear(gray.brightness, 0.536)
  assert.equal(gray.colorfulness, 0)
})

test('seeded noise of any shape and format: always sane, twice the same', async () => {
  const uniform = createUniform(1)
  for (let round = 0; round < 40; round++) {
    const width = 1 + Math.floor(uniform() * 300)
    const height = 1 + Math.floor(uniform() * 300)
    const channels = (1 + Math.floor(uniform() * 4)) as 1 | 2 | 3 | 4
    const pixels = Uint8Array.from({ length: width * height * channels }, () => uniform() * 256)
    const picture = sharp(pixels, { raw: { width, height, channels } })
    const traits = await measurePicture(picture)
    assertSane(traits)
    assert.deepEqual(await measurePicture(picture), traits)
  }
})

test('the order of pixels does not matter, the brighter picture is brighter', () => {
  const uniform = createUniform(2)
  for (let round = 0; round < 20; round++) {
    const rgb = Uint8Array.from({ length: 3 * 64 }, () => uniform() * 200)
    const traits = traitsOfPixels(rgb)
    const pixels = Array.from({ length: 64 }, (_, i) => [...rgb.subarray(3 * i, 3 * i + 3)])
    const reversed = traitsOfPixels(Uint8Array.from(pixels.toReversed().flat()))
    for (const trait of ['brightness', 'contrast', 'warmth', 'colorfulness'] as const) {
      assertNear(reversed[trait], traits[trait], 1e-9)
    }
    assert.ok(traitsOfPixels(rgb.map((value) => value + 50)).brightness > traits.brightness)
  }
})

test('a file that is no picture rejects with the decoder’s error', async () => {
  await assert.rejects(measurePicture(sharp(Buffer.from('not a picture'))), /unsupported image format/)
})

/** The sRGB gray of a CIE lightness, 0 to 100. */
function grayOfLightness(lightness: number): [number, number, number] {
  const y = lightness > 8 ? ((lightness + 16) / 116) ** 3 : lightness / 903.3
  const value = Math.round(255 * (y <= 0.0031308 ? 12.92 * y : 1.055 * y ** (1 / 2.4) - 0.055))
  return [value, value, value]
}
