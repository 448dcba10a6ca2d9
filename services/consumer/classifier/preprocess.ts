import { setImmediate } from 'node:timers/promises'
import sharp from 'sharp'
import type { ImageSpec } from '#shared/model/manifest.ts'
import { type Raster, resample, sourceWindow, type Window } from './resample.ts'

/** How many times larger than needed a picture may stay before the exact resampling. */
const oversampling = 4
/** Rows of pixel values between which others get their turn: some milliseconds of work. */
const bandRows = 32

/**
 * A picture to the pixel values [3, crop, crop] that the classifier's graph takes: as a viewer would see it (turned by
 * its EXIF orientation, in sRGB, on white where it is transparent, the first frame when it moves), then resized, cut
 * and normalised as the checkpoint was trained.
 *
 * Very large pictures are first reduced by sharp to 4 times the size needed, and only the part that is seen is kept,
 * which bounds time and memory; the final resampling is Pillow's, in turns with whatever else the thread has to do. The
 * caller has checked that the picture decodes; sharp's own errors pass through.
 */
export async function preprocess(
  picture: Buffer,
  image: ImageSpec,
  { limitInputPixels }: { limitInputPixels: number },
): Promise<Float32Array> {
  const { resample: kernel, crop } = image
  const { raster, from, target } = await decode(picture, image, limitInputPixels)
  const columns = center(target.width, crop)
  const rows = center(target.height, crop)
  const values = new Float32Array(3 * crop * crop)
  for (let row = 0; row < crop; row += bandRows) {
    const band = { offset: rows.offset + row, length: Math.min(bandRows, crop - row) }
    const { data } = resample(raster, { ...target, columns, rows: band, kernel, from })
    normalize(data, image, values, row * crop)
    await setImmediate()
  }
  return values
}

/** The part of the picture that is seen, where it lies in the whole, and what to resize the whole to. */
async function decode(picture: Buffer, image: ImageSpec, limitInputPixels: number) {
  const decoder = sharp(picture, { limitInputPixels, autoOrient: true })
  const size = (await decoder.metadata()).autoOrient
  const target = resizedTo(size, image)
  const [width, height] = [reduced(size.width, target.width), reduced(size.height, target.height)]
  if (width < size.width || height < size.height) decoder.resize(width, height, { fit: 'fill' })
  const columns = sourceWindow(width, target.width, center(target.width, image.crop), image.resample)
  const rows = sourceWindow(height, target.height, center(target.height, image.crop), image.resample)
  const [left, top] = [columns.offset, rows.offset]
  const { data, info } = await decoder
    .extract({ left, top, width: columns.length, height: rows.length })
    .flatten({ background: 'white' })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  const raster: Raster = { data, width: info.width, height: info.height }
  return { raster, from: { width, height, left, top }, target }
}

interface Size {
  width: number
  height: number
}

/** By a whole factor, to at least `oversampling` times the target. */
function reduced(size: number, target: number): number {
  const factor = Math.floor(size / (oversampling * target))
  return factor > 1 ? Math.round(size / factor) : size
}

/** Where the checkpoint's processor would resize to: the shorter side to `resize`, the longer one rounded down. */
function resizedTo({ width, height }: Size, { resize, keepAspect }: ImageSpec): Size {
  if (!keepAspect) return { width: resize, height: resize }
  const longer = Math.trunc((resize * Math.max(width, height)) / Math.min(width, height))
  return width < height ? { width: resize, height: longer } : { width: longer, height: resize }
}

function center(size: number, crop: number): Window {
  return { offset: Math.floor((size - crop) / 2), length: crop }
}

/** Rows of [columns, 3] bytes into `values` [3, crop, crop], from `start` on in each colour. */
function normalize(bytes: Raster['data'], { crop, mean, deviation }: ImageSpec, values: Float32Array, start: number) {
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0, at = channel * crop * crop + start; i < bytes.length / 3; i++, at++) {
      values[at] = (bytes[3 * i + channel]! / 255 - mean[channel]!) / deviation[channel]!
    }
  }
}
