import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import sharp from 'sharp'
import { preprocess } from '../../../../services/consumer/classifier/preprocess.ts'
import { readImageSpec } from '../../../../services/models/classifier/image-spec.ts'
import golden from '../../../golden/preprocessing.json' with { type: 'json' }
import { tolerance } from '../../../golden/tolerance.ts'

const dir = mkdtempSync(join(tmpdir(), 'image-spec-'))
after(() => rmSync(dir, { recursive: true }))

function read(config: object, side?: number) {
  writeFileSync(join(dir, 'preprocessor_config.json'), JSON.stringify(config))
  return readImageSpec(dir, side)
}

/** The picture of test/golden/classifier.py. */
function picture(width: number, height: number): Promise<Buffer> {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [x, y, c] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3]
    return x * 5 + y * 3 + Math.floor((x * y) / 16) + c * 80
  })
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
}

describe('a preprocessor_config.json', () => {
  for (const { config, pixel_values } of golden) {
    it(`prepares as the reference does: ${JSON.stringify(config)}`, async () => {
      const values = await preprocess(await picture(50, 40), read(config, 16), { limitInputPixels: 2000 })
      const expected = new Float32Array(new Uint8Array(Buffer.from(pixel_values, 'base64')).buffer)
      assert.equal(values.length, expected.length)
      const worst = Math.max(...values.map((value, i) => Math.abs(value - expected[i]!)))
      assert.ok(worst <= tolerance.pixelValue, `differs by ${worst}`)
    })
  }

  const standard = { size: 16, crop_size: 16, image_mean: [0, 0, 0], image_std: [1, 1, 1] }

  it('may be of an old version', () => {
    for (const name of [{}, { feature_extractor_type: 'CLIPFeatureExtractor' }]) {
      const { resize, keepAspect, crop, resample } = read({ ...standard, ...name })
      assert.deepEqual(
        { resize, keepAspect, crop, resample },
        { resize: 16, keepAspect: true, crop: 16, resample: 'bicubic' },
      )
    }
    const { crop_size: _, ...vit } = standard
    const { resize, keepAspect, crop, resample } = read({ ...vit, feature_extractor_type: 'ViTFeatureExtractor' })
    assert.deepEqual(
      { resize, keepAspect, crop, resample },
      { resize: 16, keepAspect: false, crop: 16, resample: 'bilinear' },
    )
  })

  it('may have null for what is left out, as fast processors write it', () => {
    const nulls = {
      image_processor_type: 'ViTImageProcessorFast',
      do_center_crop: null,
      crop_size: null,
      resample: null,
    }
    const { resize, keepAspect, crop, resample } = read({ ...standard, ...nulls })
    assert.deepEqual(
      { resize, keepAspect, crop, resample },
      { resize: 16, keepAspect: false, crop: 16, resample: 'bilinear' },
    )
  })

  it('takes 1/255 cut after some digits as 1/255', () => {
    assert.deepEqual(read({ ...standard, rescale_factor: 0.00392156862745098 }).deviation, [1, 1, 1])
    assert.deepEqual(read({ ...standard, rescale_factor: 0.00392157 }).deviation, [1, 1, 1])
  })

  it('is refused with the field named', () => {
    const cases: [object, RegExp][] = [
      [{ image_processor_type: 'EfficientNetImageProcessor' }, /image_processor_type must be .*EfficientNetImage/],
      [{ do_resize: false }, /do_resize must be .*found false/],
      [{ size: { longest_edge: 16 } }, /size .*found \{"longest_edge":16\}/],
      [{ size: { height: 16, width: 20 } }, /size is 20 x 16, expected a square/],
      [{ size: 0 }, /size .*found 0/],
      [{ crop_size: { height: 16, width: 12 } }, /crop_size is 12 x 16, expected a square/],
      [{ crop_size: 17 }, /crop_size is 17, expected at most size, 16/],
      [{ crop_size: undefined, do_center_crop: true }, /crop_size is missing/],
      [{ do_center_crop: false }, /size is 16, expected height and width, since do_center_crop is false/],
      [{ size: 20, crop_size: 12 }, /crop_size is 12, expected config\.json's image_size 16/],
      [{ resample: 5 }, /resample must be .*found 5/],
      [{ rescale_factor: 0 }, /rescale_factor must be .*found 0/],
      [{ image_mean: [0.5] }, /image_mean\.1 must be number/],
      [{ image_std: [0.5, 0, 0.5] }, /image_std\.1 must be .*found 0/],
      [{ image_std: undefined }, /image_std is missing, expected three numbers/],
    ]
    for (const [change, message] of cases) {
      assert.throws(() => read({ ...standard, ...change }, 16), message)
    }
  })
})
