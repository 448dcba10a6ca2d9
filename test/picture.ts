import { crc32, deflateSync } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { createUniform } from '../services/consumer/musicgen/random.ts'

/** Soft waves of color, as pixels to be encoded with sharp: the same seed and size give the same pixels. */
export function drawPicture(seed: number, { width = 320, height = 240 } = {}): Sharp {
  const uniform = createUniform(seed)
  const waves = Array.from({ length: 6 }, (_, index) => ({
    channel: index % 3,
    across: 6 * uniform() - 3,
    down: 6 * uniform() - 3,
    phase: 2 * Math.PI * uniform(),
    depth: 20 + 60 * uniform(),
  }))
  const base = [0, 1, 2].map(() => 40 + 176 * uniform())
  const rgb = new Uint8ClampedArray(3 * width * height)
  for (let pixel = 0; pixel < width * height; pixel++) {
    const [x, y] = [(pixel % width) / width, Math.floor(pixel / width) / height]
    const color = [...base]
    for (const { channel, across, down, phase, depth } of waves) {
      color[channel]! += depth * Math.sin(2 * Math.PI * (across * x + down * y) + phase)
    }
    rgb.set(color, 3 * pixel)
  }
  return sharp(rgb, { raw: { width, height, channels: 3 } })
}

/** One of each kind of file that is read, by name. */
export const goodPictures: Record<string, () => Promise<Buffer>> = {
  'photo.jpg': () => drawPicture(1).jpeg().toBuffer(),
  'photo.png': () => drawPicture(2).png().toBuffer(),
  'photo.webp': () => drawPicture(3).webp().toBuffer(),
  'photo.gif': () => drawPicture(4, { width: 64, height: 48 }).gif().toBuffer(),
  'photo.tiff': () => drawPicture(5).tiff().toBuffer(),
  'photo.avif': () => drawPicture(6, { width: 64, height: 48 }).avif({ effort: 0 }).toBuffer(),
  /** Stored lying on its side: 240 x 320 to the viewer. */
  'turned.jpg': () => drawPicture(7).withMetadata({ orientation: 6 }).jpeg().toBuffer(),
  'inks.jpg': () => drawPicture(8).toColourspace('cmyk').jpeg().toBuffer(),
  'gray.jpg': () => drawPicture(9).toColourspace('b-w').jpeg().toBuffer(),
  'deep.png': () => drawPicture(10).toColourspace('rgb16').png().toBuffer(),
  'clear.png': () => drawPicture(11).ensureAlpha(0.5).png().toBuffer(),
  'dot.gif': () => drawPicture(12, { width: 1, height: 1 }).gif().toBuffer(),
  'moving.gif': async () => {
    const frames = await Promise.all(
      [13, 14, 15].map((seed) => drawPicture(seed, { width: 64, height: 48 }).png().toBuffer()),
    )
    return sharp(frames, { join: { animated: true } })
      .gif()
      .toBuffer()
  },
}

/** Files that are refused, by name, with the code that says why. */
export const badPictures: Record<string, { make: () => Promise<Buffer>; code: ErrorCode }> = {
  'empty.jpg': { code: 'IMAGE_EMPTY', make: async () => Buffer.alloc(0) },
  'text.jpg': {
    code: 'IMAGE_UNSUPPORTED_TYPE',
    make: async () => Buffer.from('This is a text, whatever it is called.\n'),
  },
  'drawing.svg': {
    code: 'IMAGE_UNSUPPORTED_TYPE',
    make: async () =>
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>\n'),
  },
  'document.pdf': {
    code: 'IMAGE_UNSUPPORTED_TYPE',
    make: async () => Buffer.from('%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n'),
  },
  'truncated.jpg': {
    code: 'IMAGE_CORRUPT',
    make: async () => {
      const whole = await drawPicture(16).jpeg().toBuffer()
      return whole.subarray(0, whole.length / 2)
    },
  },
  'bomb.png': { code: 'IMAGE_TOO_MANY_PIXELS', make: async () => blackPng(20_000, 20_000) },
}

/** A valid black PNG of one bit a pixel: 20,000 x 20,000 pixels are 50 KB of file. */
export function blackPng(width: number, height: number): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.writeUInt8(1, 8) // bits per pixel; the zeros after it say gray, deflate, no filter, no interlace
  const bytesPerRow = 1 + Math.ceil(width / 8) // its filter first
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    pngChunk('IHDR', header),
    pngChunk('IDAT', deflateSync(Buffer.alloc(bytesPerRow * height))),
    pngChunk('IEND', Buffer.alloc(0)),
  ])
}

function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const chunk = Buffer.alloc(body.length + 8)
  chunk.writeUInt32BE(data.length, 0)
  body.copy(chunk, 4)
  chunk.writeUInt32BE(crc32(body), body.length + 4)
  return chunk
}
