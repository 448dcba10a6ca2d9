import type { ImageSpec } from '#shared/model/manifest.ts'
import { preprocess } from '../classifier/preprocess.ts'
import { decodePicture } from './decode-picture.ts'
import { measurePicture, type PictureTraits } from './picture-traits.ts'

export interface ReadingOptions {
  maxPixels: number
  /** Of the classifier. */
  graphs: readonly { image: ImageSpec }[]
}

/** All that is ever needed of a picture's pixels. */
export interface Reading {
  traits: PictureTraits
  /** For each of `graphs`, as `preprocess` makes them. */
  views: Float32Array[]
}

/** Throws what `decodePicture` throws. */
export async function readPicture(bytes: Buffer, { maxPixels, graphs }: ReadingOptions): Promise<Reading> {
  const traits = await measurePicture(await decodePicture(bytes, { maxPixels }))
  const views: Float32Array[] = []
  for (const { image } of graphs) views.push(await preprocess(bytes, image, { limitInputPixels: maxPixels }))
  return { traits, views }
}
