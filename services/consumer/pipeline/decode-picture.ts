import sharp, { type Metadata, type Sharp } from 'sharp'
import type { PictureType } from '#shared/contract/picture-type.ts'
import { PermanentFailure } from '#shared/failure.ts'
import { sniffPictureType } from './picture-type.ts'

/** Pixels; enough for everything but the classifier, which resamples the original itself. */
const maxSide = 1024

/**
 * Checks and decodes a picture to the end: by content and never by name, in sRGB, turned as its EXIF says, the first frame of
 * several, reduced to 1,024 pixels a side. Pixels are bounded by the header, before anything is decoded; time is not. Throws
 * PermanentFailure IMAGE_EMPTY, IMAGE_UNSUPPORTED_TYPE, IMAGE_TOO_MANY_PIXELS or IMAGE_CORRUPT.
 */
export async function decodePicture(bytes: Buffer, { maxPixels }: { maxPixels: number }): Promise<Sharp> {
  if (bytes.length === 0) throw new PermanentFailure('IMAGE_EMPTY', 'The file has no bytes')
  const type = sniffPictureType(bytes)
  if (!type) {
    throw unsupported('The file is no JPEG, PNG, WebP, GIF, TIFF or AVIF by its content, whatever its name says')
  }
  checkHeader(type, await readHeader(bytes), maxPixels)
  try {
    const { data, info } = await sharp(bytes, { limitInputPixels: maxPixels, autoOrient: true, failOn: 'warning' })
      .resize(maxSide, maxSide, { fit: 'inside', withoutEnlargement: true })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    const { width, height, channels } = info
    return sharp(data, { raw: { width, height, channels } })
  } catch (cause) {
    throw corrupt(cause)
  }
}

async function readHeader(bytes: Buffer): Promise<Metadata> {
  try {
    return await sharp(bytes, { limitInputPixels: false }).metadata()
  } catch (cause) {
    throw corrupt(cause)
  }
}

function checkHeader(type: PictureType, { format, width, height, compression }: Metadata, maxPixels: number): void {
  if (format !== type) throw unsupported(`The file begins as ${type} and goes on as ${format}`)
  if (compression === 'hevc') throw unsupported('HEIC pictures coded in HEVC are not read; send JPEG, PNG or AVIF')
  if (width * height > maxPixels) {
    throw new PermanentFailure(
      'IMAGE_TOO_MANY_PIXELS',
      `The picture has ${width} x ${height} pixels; at most ${maxPixels} in all are accepted`,
    )
  }
}

function unsupported(message: string): PermanentFailure {
  return new PermanentFailure('IMAGE_UNSUPPORTED_TYPE', message)
}

/** libvips reports every complaint on a line of its own; the first says what happened. */
function corrupt(cause: unknown): PermanentFailure {
  const [reason = ''] = (cause instanceof Error ? cause.message : String(cause)).split('\n')
  return new PermanentFailure('IMAGE_CORRUPT', `The picture cannot be decoded: ${reason}`, { cause })
}
