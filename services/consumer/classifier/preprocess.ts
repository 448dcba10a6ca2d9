import sharp from 'sharp'
import type { ImageSpec } from '#shared/model/manifest.ts'
import { type Raster, resample } from './resample.ts'

/** How many times larger than needed a picture may stay before the exact resampling. */
const oversampling = 4
const timeoutSeconds = 30

/**
 * A picture to the pixel values [3, crop, crop] that the classifier's graph takes: as a viewer would see it (turned by
 * its EXIF orientation, in sRGB, on white where it is transparent, the first frame when it moves), then resized, cut
 * and normalised as the checkpoint was trained.
 *
 * Very large pictures are first reduced by sharp to 4 times the size needed, which bounds time and memory; the final
 * resampling is Pillow's. The caller has checked that the picture decodes; sharp's own errors pass through.
 */
export async function preprocess(
  picture: Buffer,
  image: ImageSpec,
  { limitInputPixels }: { limitInputPixels: number },
): Promise<Float32Array> {
  const raster = await decode(picture, image, limitInputPixels)
  const { width, height } = resizedTo(raster, image)
  const { data } = resample(raster, {
    width,
    height,
    columns: { offset: Math.floor((width - image.crop) / 2), length: image.crop },
    rows: { offset: Math.floor((height - image.crop) / 2), length: image.crop },
    kernel: image.resample,
  })
  return normalize(data, image)
}

async function decode(picture: Buffer, image: ImageSpec, limitInputPixels: number): Promise<Raster> {
  const decoder = sharp(picture, { limitInputPixels, autoOrient: true }).timeout({ seconds: timeoutSeconds })
  const size = (await decoder.metadata()).autoOrient
  const target = resizedTo(size, image)
  const [width, height] = [reduced(size.width, target.width), reduced(size.height, target.height)]
  if (width < size.width || height < size.height) decoder.resize(width, height, { fit: 'fill' })
  const { data, info } = await decoder
    .flatten({ background: 'white' })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  return { data, width: info.width, height: info.height }
}

/** By a whole factor, to at least `oversampling` times the target. */
function reduced(size: number, target: number): number {
  const factor = Math.floor(size / (oversampling * target))
  return factor > 1 ? Math.round(size / factor) : size
}

/** Where the checkpoint's processor would resize to: the shorter side to `resize`, the longer one rounded down. */
function resizedTo(
  { width, height }: Pick<Raster, 'width' | 'height'>,
  { resize, keepAspect }: ImageSpec,
): { width: number; height: number } {
  if (!keepAspect) return { width: resize, height: resize }
  const longer = Math.trunc((resize * Math.max(width, height)) / Math.min(width, height))
  return width < height ? { width: resize, height: longer } : { width: longer, height: resize }
}

/** [crop, crop, 3] bytes to [3, crop, crop] floats. */
function normalize(bytes: Raster['data'], { crop, mean, deviation }: ImageSpec): Float32Array {
  const plane = crop * crop
  const values = new Float32Array(3 * plane)
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < plane; i++) {
      values[channel * plane + i] = (bytes[3 * i + channel]! / 255 - mean[channel]!) / deviation[channel]!
    }
  }
  return values
}
