import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import sharp from 'sharp'
import { preprocess } from '../../../../services/consumer/classifier/preprocess.ts'
import { resample, sourceWindow } from '../../../../services/consumer/classifier/resample.ts'
import golden from '../../../golden/clip.json' with { type: 'json' }
import siglip from '../../../golden/siglip.json' with { type: 'json' }
import { tolerance } from '../../../golden/tolerance.ts'

const side = 64
/** Normalised so that pixel values are the bytes themselves. */
const image = {
  resize: side,
  keepAspect: true,
  crop: side,
  resample: 'bicubic' as const,
  mean: [0, 0, 0] as [number, number, number],
  deviation: [1 / 255, 1 / 255, 1 / 255] as [number, number, number],
}

/** The pictures of test/golden/classifier.py: gradients that wrap around. */
function raster(width: number, height: number) {
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) data[(y * width + x) * 3 + c] = x * 5 + y * 3 + Math.floor((x * y) / 16) + c * 80
    }
  }
  return { data, width, height, channels: 3 as const }
}

function picture(width: number, height: number) {
  const { data, ...raw } = raster(width, height)
  return sharp(data, { raw })
}

/** What the middle of each quarter has become, as [red, green, blue]. */
async function quarters(bytes: Buffer, { keepAspect }: { keepAspect: boolean } = image): Promise<number[][]> {
  const values = await preprocess(bytes, { ...image, keepAspect }, { limitInputPixels: 1_000_000 })
  assert.equal(values.length, 3 * side * side)
  return [16, 48].flatMap((y) =>
    [16, 48].map((x) => [0, 1, 2].map((c) => Math.round(values[(c * side + y) * side + x]!))),
  )
}

/** Four plain quarters of 40 x 40 pixels: top left, top right, bottom left, bottom right. */
function fourColors(colors: number[][]) {
  const data = Uint8Array.from({ length: 80 * 80 * 4 }, (_, i) => {
    const [x, y] = [Math.floor(i / 4) % 80, Math.floor(i / 320)]
    return colors[Math.floor(y / 40) * 2 + Math.floor(x / 40)]![i % 4] ?? 255
  })
  return sharp(data, { raw: { width: 80, height: 80, channels: 4 } })
}

function assertNear(found: number[][], expected: number[][], limit: number): void {
  const worst = Math.max(...found.flat().map((value, i) => Math.abs(value - expected.flat()[i]!)))
  assert.ok(worst <= limit, `${JSON.stringify(found)} is not ${JSON.stringify(expected)} within ${limit}`)
}

const [red, green, blue, white, black] = [
  [255, 0, 0],
  [0, 255, 0],
  [0, 0, 255],
  [255, 255, 255],
  [0, 0, 0],
]
const colors = [red!, green!, blue!, white!]

describe('preprocess', () => {
  for (const { width, height, bytes, keepAspect } of [
    ...golden.pictures.map((each) => ({ ...each, keepAspect: true })),
    ...siglip.pictures.map((each) => ({ ...each, keepAspect: false })),
  ]) {
    it(`prepares ${width} x ${height} pixels, ${keepAspect ? 'cut' : 'squeezed'}, as the reference does`, async () => {
      const png = await picture(width, height).png().toBuffer()
      const values = await preprocess(png, { ...image, keepAspect }, { limitInputPixels: 1_000_000 })
      const expected = Buffer.from(bytes, 'base64')
      const differences = Array.from(values, (value, i) => {
        const plane = side * side
        return Math.abs(Math.round(value) - expected[(i % plane) * 3 + Math.floor(i / plane)]!)
      })
      const worst = Math.max(...differences)
      const mean = differences.reduce((sum, value) => sum + value, 0) / differences.length
      const reduced = Math.min(width, height) >= 8 * side
      assert.ok(worst <= (reduced ? tolerance.reducedPixel.worst : tolerance.pixel), `differs by ${worst}`)
      assert.ok(mean <= (reduced ? tolerance.reducedPixel.mean : tolerance.pixel), `differs by ${mean} on average`)
    })
  }

  it('normalises by mean and deviation, channel by channel', async () => {
    const png = await sharp({ create: { width: 9, height: 9, channels: 3, background: '#ff0080' } })
      .png()
      .toBuffer()
    const values = await preprocess(
      png,
      { ...image, mean: [0.5, 0.25, 0], deviation: [0.5, 0.5, 2] },
      { limitInputPixels: 81 },
    )
    const plane = side * side
    assert.deepEqual([values[0], values[plane], values[2 * plane]], [1, -0.5, Math.fround(128 / 255 / 2)])
  })

  it('turns pictures as their EXIF says', async () => {
    const turned = await fourColors(colors)
      .withMetadata({ orientation: 6 })
      .jpeg({ chromaSubsampling: '4:4:4', quality: 100 })
      .toBuffer()
    assertNear(await quarters(turned), [blue!, red!, white!, green!], 3)
  })

  it('takes the shorter side after turning', async () => {
    const wide = sharp({ create: { width: 200, height: 100, channels: 3, background: '#fff' } }).composite([
      { input: { create: { width: 60, height: 100, channels: 3, background: '#000' } }, left: 0, top: 0 },
    ])
    const turned = await wide.withMetadata({ orientation: 6 }).png().toBuffer()
    // Upright it is 100 x 200: the black part ends 10 pixels below the cut's upper edge, above its first quarter.
    assertNear(await quarters(turned), [white!, white!, white!, white!], 0)
  })

  for (const [width, height] of [
    [900, 70],
    [4000, 600],
  ] as const) {
    it(`sees the same middle of ${width} x ${height} pixels, however they are stored`, async () => {
      const upright = await picture(width, height).png().toBuffer()
      const stored = await sharp(upright).rotate(270).withMetadata({ orientation: 6 }).png().toBuffer()
      assert.deepEqual((await sharp(stored).metadata()).autoOrient, { width, height })
      const limits = { limitInputPixels: width * height }
      assert.deepEqual(await preprocess(stored, image, limits), await preprocess(upright, image, limits))
    })
  }

  it('squeezes both sides where the checkpoint does not keep the aspect', async () => {
    const wide = await fourColors(colors).resize(300, 80, { fit: 'fill', kernel: 'nearest' }).png().toBuffer()
    assertNear(await quarters(wide, { keepAspect: false }), colors, 0)
  })

  it('reads CMYK', async () => {
    const cmyk = await fourColors([black!, white!, white!, black!])
      .flatten()
      .toColourspace('cmyk')
      .jpeg({ quality: 100 })
      .toBuffer()
    assert.equal((await sharp(cmyk).metadata()).space, 'cmyk')
    assertNear(await quarters(cmyk), [black!, white!, white!, black!], 45)
  })

  it('reads 16 bits a channel', async () => {
    const deep = await fourColors(colors).removeAlpha().toColourspace('rgb16').png().toBuffer()
    assert.equal((await sharp(deep).metadata()).depth, 'ushort')
    assertNear(await quarters(deep), colors, 1)
  })

  it('reads 16 bits of grey', async () => {
    const grey = await sharp({ create: { width: 80, height: 80, channels: 3, background: '#808080' } })
      .toColourspace('grey16')
      .png()
      .toBuffer()
    assert.deepEqual([(await sharp(grey).metadata()).depth, (await sharp(grey).metadata()).channels], ['ushort', 1])
    assertNear(await quarters(grey), Array(4).fill([128, 128, 128]), 1)
  })

  it('lays transparent grey on white', async () => {
    const grey = await fourColors([black!, [...black!, 0], [...white!, 0], [...black!, 128]])
      .toColourspace('b-w')
      .png()
      .toBuffer()
    assert.equal((await sharp(grey).metadata()).channels, 2)
    assertNear(await quarters(grey), [black!, white!, white!, [127, 127, 127]], 1)
  })

  it('takes the first frame of an animation', async () => {
    const frames = await Promise.all([colors, [...colors].reverse()].map((frame) => fourColors(frame).png().toBuffer()))
    const gif = await sharp(frames, { join: { animated: true } })
      .gif()
      .toBuffer()
    assert.equal((await sharp(gif).metadata()).pages, 2)
    assertNear(await quarters(gif), colors, 1)
  })

  it('reads WebP and AVIF', async () => {
    assertNear(await quarters(await fourColors(colors).webp({ lossless: true }).toBuffer()), colors, 0)
    assertNear(await quarters(await fourColors(colors).avif({ lossless: true }).toBuffer()), colors, 3)
  })

  it('passes on why a picture cannot be decoded', async () => {
    const jpeg = await picture(200, 200).jpeg().toBuffer()
    await assert.rejects(preprocess(jpeg.subarray(0, 2000), image, { limitInputPixels: 40_000 }), /VipsJpeg/)
    await assert.rejects(preprocess(jpeg, image, { limitInputPixels: 39_999 }), /exceeds pixel limit/)
  })
})

describe('resample', () => {
  it('needs no more of the picture than it says', () => {
    for (const [width, height] of [
      [400, 60],
      [60, 400],
    ] as const) {
      for (const kernel of ['nearest', 'bilinear', 'bicubic', 'lanczos3'] as const) {
        const whole = raster(width, height)
        const target = { width: width / 4, height: height / 5, kernel }
        const [columns, rows] = [
          { offset: 5, length: 7 },
          { offset: 3, length: 8 },
        ]
        const across = sourceWindow(width, target.width, columns, kernel)
        const down = sourceWindow(height, target.height, rows, kernel)
        const part = Buffer.concat(
          Array.from({ length: down.length }, (_, row) => {
            const start = ((down.offset + row) * width + across.offset) * 3
            return whole.data.subarray(start, start + across.length * 3)
          }),
        )
        const from = { width, height, left: across.offset, top: down.offset }
        assert.deepEqual(
          resample({ data: part, width: across.length, height: down.length }, { ...target, columns, rows, from }),
          resample(whole, { ...target, columns, rows }),
        )
      }
    }
  })

  for (const [kernel, bytes] of Object.entries(golden.kernels)) {
    it(`is the reference's ${kernel}, bit for bit`, () => {
      const { data } = resample(raster(37, 23), {
        width: 16,
        height: 40,
        columns: { offset: 0, length: 16 },
        rows: { offset: 0, length: 40 },
        kernel: kernel as keyof typeof golden.kernels,
      })
      assert.deepEqual(Buffer.from(data), Buffer.from(bytes, 'base64'))
    })
  }

  it('of a part is that part of the whole', () => {
    for (const [width, height] of [
      [9, 500],
      [500, 9],
    ] as const) {
      const target = { width: 16 * width, height: 16 * height, kernel: 'bicubic' as const }
      const [columns, rows] = [
        { offset: 4 * width, length: 8 },
        { offset: 4 * height, length: 8 },
      ]
      const part = resample(raster(width, height), { ...target, columns, rows })
      const whole = resample(raster(width, height), {
        ...target,
        columns: { offset: 0, length: target.width },
        rows: { offset: 0, length: target.height },
      })
      const cut = Array.from({ length: 8 }, (_, y) => {
        const start = ((rows.offset + y) * target.width + columns.offset) * 3
        return [...whole.data.subarray(start, start + 8 * 3)]
      })
      assert.deepEqual([...part.data], cut.flat())
    }
  })

  it('reads no more of a very tall picture than it needs', () => {
    const [width, height] = [1, 20_000_000]
    const data = new Uint8Array(width * height * 3).fill(7)
    const window = { offset: 10, length: 8 }
    // All of it, at 64 times its width, would take gigabytes and minutes.
    const { data: part } = resample(
      { width, height, data },
      { width: 64, height: 64 * height, columns: window, rows: { offset: 32 * height, length: 8 }, kernel: 'bicubic' },
    )
    assert.deepEqual([...new Set(part)], [7])
  })
})
