import { crc32, deflateSync } from 'node:zlib'
import sharp from 'sharp'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { drawPicture } from '../picture.ts'

/** Small files that ask for much work or memory, or lead in circles: each with what must become of it. */
export const hostilePictures: Record<string, { make: () => Promise<Buffer>; result: 'read' | ErrorCode }> = {
  'a progressive JPEG of 100 megapixels and 60 scans': {
    result: 'read',
    make: async () => progressiveJpeg({ width: 10_000, height: 10_000, scans: 60 }),
  },
  'a small JPEG of 800 scans': {
    result: 'read',
    make: async () => progressiveJpeg({ width: 640, height: 640, scans: 800 }),
  },
  'a JPEG without lines': {
    result: 'IMAGE_CORRUPT',
    make: async () => progressiveJpeg({ width: 8, height: 0, scans: 1 }),
  },
  'a JPEG of 65,500 pixels a side': {
    result: 'IMAGE_TOO_MANY_PIXELS',
    make: async () => progressiveJpeg({ width: 65_500, height: 65_500, scans: 0 }),
  },
  'a PNG of 100 megapixels, interlaced': {
    result: 'read',
    make: async () => png({ width: 10_000, height: 10_000, interlaced: true }),
  },
  'a PNG that says to be of 2^31 pixels a side': {
    result: 'IMAGE_CORRUPT',
    make: async () => png({ width: 2 ** 31 - 1, height: 2 ** 31 - 1, pixels: Buffer.alloc(9) }),
  },
  'a PNG a million pixels high': { result: 'read', make: async () => png({ width: 1, height: 1_000_000 }) },
  'a PNG a million pixels wide': { result: 'read', make: async () => png({ width: 1_000_000, height: 1 }) },
  'a PNG with a color profile of 200 MB': {
    result: 'read',
    make: async () => png({ width: 8, height: 8, chunks: [pngChunk('iCCP', named(deflateSync(zeros(200))))] }),
  },
  'a PNG with texts of 1 GB': {
    result: 'read',
    make: async () => {
      const text = pngChunk('zTXt', named(deflateSync(zeros(100))))
      return png({ width: 8, height: 8, chunks: Array<Buffer>(10).fill(text) })
    },
  },
  'a PNG with 100,000 texts': {
    result: 'read',
    make: async () => {
      const texts = Array.from({ length: 100_000 }, (_, i) => pngChunk('tEXt', Buffer.from(`${i}\0`)))
      return png({ width: 8, height: 8, chunks: texts })
    },
  },
  'a GIF of 100,000 frames': {
    result: 'read',
    make: async () => gif({ width: 2_000, height: 2_000, frames: 100_000 }),
  },
  'a GIF of 65,535 pixels a side': {
    result: 'read',
    make: async () => gif({ width: 65_535, height: 65_535, frames: 1 }),
  },
  'a WebP of 3,000 frames on 100 megapixels': {
    result: 'read',
    make: async () => movingWebp({ width: 10_000, height: 10_000, frames: 3_000 }),
  },
  'a TIFF of 10,000 pages': { result: 'read', make: async () => tiff({ pages: 10_000 }) },
  'a TIFF whose pages go in a circle': { result: 'IMAGE_CORRUPT', make: async () => tiff({ pages: 1, next: 8 }) },
  'a TIFF whose page is its own child': { result: 'read', make: async () => tiff({ pages: 1, tags: [[330, 4, 8]] }) },
  'a TIFF of 65,535 colors': { result: 'IMAGE_CORRUPT', make: async () => tiff({ pages: 1, samples: 65_535 }) },
  'a TIFF of 4 billion pixels a side': {
    result: 'IMAGE_CORRUPT',
    make: async () => tiff({ pages: 1, width: 2 ** 32 - 1, height: 2 ** 32 - 1 }),
  },
  'an AVIF of 100 megapixels': {
    result: 'read',
    make: () => sharp(blank(10_000)).avif({ effort: 0, quality: 1 }).toBuffer(),
  },
  'an EXIF directory that is its own next': {
    result: 'read',
    make: () => withSegment(0xe1, Buffer.from('Exif\0\0II*\0\x08\0\0\0\0\0\x08\0\0\0', 'latin1')),
  },
  'an EXIF directory that is its own child': {
    result: 'read',
    make: () =>
      withSegment(0xe1, Buffer.from('Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0', 'latin1')),
  },
  'a color profile of nothing but its length': {
    result: 'read',
    make: () =>
      withSegment(0xe2, Buffer.concat([Buffer.from('ICC_PROFILE\0\x01\x01', 'latin1'), Buffer.alloc(60_000)])),
  },
  'a color profile in 255 parts, all of them the last': {
    result: 'read',
    make: () => withSegment(0xe2, Buffer.from(`ICC_PROFILE\0\xff\xff${'acsp'.repeat(50)}`, 'latin1'), 255),
  },
}

/** A black progressive JPEG; each scan, of some 100 bytes, goes over all coefficients of the picture once more. */
export function progressiveJpeg({ width, height, scans }: { width: number; height: number; scans: number }): Buffer {
  const blocks = Math.ceil(width / 8) * Math.ceil(height / 8)
  const code = (symbols: number[]) => [0, symbols.length, ...Array<number>(14).fill(0), ...symbols]
  const scan = (from: number, to: number, approximation: number) =>
    jpegSegment(0xda, Buffer.from([1, 1, 0, from, to, approximation]))
  // Two bits a block: no difference from the block before.
  const flat = Buffer.alloc(Math.ceil(blocks / 4))
  const nothing = endOfBands(blocks)
  const refinements = Array.from({ length: scans }, (_, index) => {
    const coefficient = 1 + (index % 63)
    const bit = Math.max(0, 13 - Math.floor(index / 63))
    return [scan(coefficient, coefficient, index < 63 ? bit : ((bit + 1) << 4) | bit), nothing]
  })
  return Buffer.concat([
    Buffer.from([0xff, 0xd8]),
    jpegSegment(0xdb, Buffer.alloc(65, 1).fill(0, 0, 1)),
    jpegSegment(0xc2, Buffer.concat([Buffer.from([8]), bigEndian(2, height, width), Buffer.from([1, 1, 0x11, 0])])),
    jpegSegment(0xc4, Buffer.from([0x00, ...code([0])])),
    jpegSegment(0xc4, Buffer.from([0x10, ...code([0xe0, 0x00])])),
    scan(0, 0, 0),
    flat,
    ...refinements.flat(),
    Buffer.from([0xff, 0xd9]),
  ])
}

/** Code 00 and 14 bits: nothing in the next 2^14 blocks and so many more; code 01: nothing in the next one. */
function endOfBands(blocks: number): Buffer {
  let bits = ''
  for (let left = blocks; left > 0; ) {
    const run = left >= 2 ** 14 ? Math.min(left, 2 ** 15 - 1) : 1
    bits += run === 1 ? '01' : `00${(run - 2 ** 14).toString(2).padStart(14, '0')}`
    left -= run
  }
  const bytes = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1').match(/.{8}/g) ?? []
  return Buffer.from(bytes.flatMap((each) => (each === '11111111' ? [0xff, 0] : [Number.parseInt(each, 2)])))
}

function jpegSegment(marker: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0xff, marker]), bigEndian(2, body.length + 2), body])
}

/** A good JPEG with a segment more, or many. */
async function withSegment(marker: number, body: Buffer, copies = 1): Promise<Buffer> {
  const good = await drawPicture(1, { width: 32, height: 32 }).jpeg().toBuffer()
  const segments = Array<Buffer>(copies).fill(jpegSegment(marker, body))
  return Buffer.concat([good.subarray(0, 2), ...segments, good.subarray(2)])
}

/** Black, 16 bits in four channels, unless `pixels` are given: 800 MB of them at 100 megapixels. */
function png(options: {
  width: number
  height: number
  interlaced?: boolean
  chunks?: Buffer[]
  pixels?: Buffer
}): Buffer {
  const { width, height, interlaced = false, chunks = [], pixels } = options
  // Adam7's seven passes have each row's filter byte again; more zeros than needed do no harm.
  const bytes = Math.ceil((8 * width + 1) * height * (interlaced ? 1.01 : 1)) + 16 * (width + height)
  const header = Buffer.concat([bigEndian(4, width, height), Buffer.from([16, 6, 0, 0, interlaced ? 1 : 0])])
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    pngChunk('IHDR', header),
    ...chunks,
    pngChunk('IDAT', deflateSync(pixels ?? Buffer.alloc(bytes))),
    pngChunk('IEND', Buffer.alloc(0)),
  ])
}

function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  return Buffer.concat([bigEndian(4, data.length), body, bigEndian(4, crc32(body))])
}

function named(data: Buffer): Buffer {
  return Buffer.concat([Buffer.from('a\0\0'), data])
}

function zeros(megabytes: number): Buffer {
  return Buffer.alloc(megabytes * 1e6)
}

/** Frames of one pixel. */
function gif({ width, height, frames }: { width: number; height: number; frames: number }): Buffer {
  const frame = Buffer.from([0x21, 0xf9, 4, 0, 1, 0, 0, 0, 0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0])
  const header = [Buffer.from('GIF89a'), littleEndian(2, width, height), Buffer.from([0x80, 0, 0, 0, 0, 0, 9, 9, 9])]
  return Buffer.concat([...header, ...Array<Buffer>(frames).fill(frame), Buffer.from([0x3b])])
}

/** Frames of 8 x 8 pixels. */
async function movingWebp(canvas: { width: number; height: number; frames: number }): Promise<Buffer> {
  const still = (await sharp(blank(8)).webp().toBuffer()).subarray(12)
  const frame = Buffer.concat([littleEndian(3, 0, 0, 7, 7, 1), Buffer.from([0]), still])
  const size = littleEndian(3, canvas.width - 1, canvas.height - 1)
  const body = Buffer.concat([
    Buffer.from('WEBP'),
    riffChunk('VP8X', Buffer.concat([Buffer.from([2, 0, 0, 0]), size])),
    riffChunk('ANIM', Buffer.alloc(6)),
    ...Array<Buffer>(canvas.frames).fill(riffChunk('ANMF', frame)),
  ])
  return riffChunk('RIFF', body)
}

function riffChunk(type: string, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type), littleEndian(4, data.length), data])
}

/** A tag, its type (3: 16 bits, 4: 32 bits), and its value. */
type TiffTag = [number, 3 | 4, number]

/** Gray pages, all of the same 64 bytes of pixels; the last leads to `next`. */
function tiff(options: {
  pages: number
  width?: number
  height?: number
  samples?: number
  tags?: TiffTag[]
  next?: number
}): Buffer {
  const { pages, width = 8, height = 8, samples = 1, tags = [], next = 0 } = options
  const entries: TiffTag[] = [
    [256, 4, width],
    [257, 4, height],
    [258, 3, 8],
    [259, 3, 1],
    [262, 3, 1],
    [273, 4, 8],
    [277, 3, samples],
    [278, 4, height],
    [279, 4, 64],
    ...tags,
  ]
  const first = 8 + 64
  const length = 2 + 12 * entries.length + 4
  const directories = Array.from({ length: pages }, (_, page) => [
    littleEndian(2, entries.length),
    ...entries.map(([tag, type, value]) => Buffer.concat([littleEndian(2, tag, type), littleEndian(4, 1, value)])),
    littleEndian(4, page + 1 < pages ? first + (page + 1) * length : next && first),
  ])
  return Buffer.concat([Buffer.from('II*\0'), littleEndian(4, first), Buffer.alloc(64), ...directories.flat()])
}

function blank(side: number) {
  return { create: { width: side, height: side, channels: 3 as const, background: '#123456' } }
}

export function bigEndian(bytes: number, ...values: number[]): Buffer {
  const buffer = Buffer.alloc(bytes * values.length)
  for (const [index, value] of values.entries()) buffer.writeUIntBE(value, index * bytes, bytes)
  return buffer
}

export function littleEndian(bytes: number, ...values: number[]): Buffer {
  return bigEndian(bytes, ...values.toReversed()).reverse()
}
