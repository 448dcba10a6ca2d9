import { extname } from 'node:path'
import { crc32 } from 'node:zlib'
import sharp from 'sharp'
import { drawPicture, goodPictures } from '../picture.ts'
import { createDraw, type Draw } from './draw.ts'
import { bigEndian, littleEndian } from './hostile-pictures.ts'
import type { Case } from './outcome.ts'

const small = { width: 96, height: 64 }

/** What is mutated: what is read in every test, and kinds of coding that those have not. */
const basePictures: Record<string, () => Promise<Buffer>> = {
  ...goodPictures,
  'progressive.jpg': () => drawPicture(21, small).withMetadata({ icc: 'p3' }).jpeg({ progressive: true }).toBuffer(),
  'described.jpg': () =>
    drawPicture(22, small)
      .withExif({ IFD0: { Artist: 'nobody' }, IFD2: { UserComment: 'a' } })
      .keepIccProfile()
      .jpeg()
      .toBuffer(),
  'interlaced.png': () => drawPicture(23, small).withMetadata({ icc: 'p3' }).png({ progressive: true }).toBuffer(),
  'palette.png': () => drawPicture(24, small).png({ palette: true }).toBuffer(),
  'lossless.webp': () => drawPicture(25, small).ensureAlpha(0.5).webp({ lossless: true, effort: 0 }).toBuffer(),
  'moving.webp': async () =>
    sharp(await goodPictures['moving.gif']!(), { animated: true })
      .webp()
      .toBuffer(),
  'tiles.tiff': () => drawPicture(26, small).tiff({ tile: true, compression: 'deflate', predictor: 'none' }).toBuffer(),
  'lzw.tiff': () => drawPicture(27, small).tiff({ compression: 'lzw', pyramid: true }).toBuffer(),
  'inside.tiff': () => drawPicture(28, small).tiff({ compression: 'jpeg' }).toBuffer(),
  'big.tiff': () => drawPicture(29, small).tiff({ bigtiff: true, compression: 'none' }).toBuffer(),
  'deep.avif': () => drawPicture(30, small).avif({ effort: 0, bitdepth: 10, chromaSubsampling: '4:4:4' }).toBuffer(),
  'lossless.avif': () => drawPicture(31, small).ensureAlpha(0.5).avif({ effort: 0, lossless: true }).toBuffer(),
}

const disguises = [
  '<!doctype html><script>location="https://example.com"</script>',
  '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>',
  '<!DOCTYPE svg [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;">]><svg width="1" height="1"><text>&b;</text></svg>',
  '%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n',
  'PK\x03\x04\x14\0\0\0\x08\0',
  'PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0',
  '#!/bin/sh\nexit 1\n',
  '8BPS\0\x01\0\0\0\0\0\0',
  'P6\n1000000 1000000\n255\n',
  '#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 100000 +X 100000\n',
]

const magics = [
  '\xff\xd8\xff',
  '\x89PNG\r\n\x1a\n',
  'RIFF\x24\0\0\0WEBP',
  'GIF89a',
  'II*\0',
  'MM\0*',
  'II+\0',
  '\0\0\0\x1cftypavif',
  '\0\0\0\x1cftypheic',
  'BM',
]

/** What lengths, dimensions, counts and offsets lie with. */
const lies = [0, 1, 2, 8, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 65_500, 0x7fffffff, 0x80000000, 0xffffffff]

type Mutation = (bytes: Buffer, draw: Draw, others: Buffer[]) => Buffer

const mutations: Record<string, Mutation> = {
  'flipped bits': (bytes, draw) => flip(bytes, draw, bytes.length),
  'flipped bits of the head': (bytes, draw) => flip(bytes, draw, Math.min(bytes.length, 200)),
  truncated: (bytes, draw) => bytes.subarray(0, draw.int(bytes.length)),
  'a part removed': (bytes, draw) => {
    const [start, end] = draw.part(bytes.length)
    return Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)])
  },
  'a part repeated': (bytes, draw) => {
    const [start, end] = draw.part(bytes.length)
    const copies = Array.from({ length: 1 + draw.int(20) }, () => bytes.subarray(start, end))
    return Buffer.concat([bytes.subarray(0, end), ...copies, bytes.subarray(end)])
  },
  'a part of noise': (bytes, draw) => {
    const [start, end] = draw.part(bytes.length)
    return Buffer.concat([bytes.subarray(0, start), draw.bytes(Math.min(end - start, 500)), bytes.subarray(end)])
  },
  'a part of zeros or ones': (bytes, draw) => {
    const [start, end] = draw.part(bytes.length)
    return Buffer.from(bytes).fill(draw.pick([0, 0xff]), start, end)
  },
  'lying numbers': (bytes, draw) => {
    const changed = Buffer.from(bytes)
    for (let count = 1 + draw.int(3); count > 0; count--) {
      const width = draw.pick([2, 4])
      const lie = draw.pick(lies) % 2 ** (8 * width)
      const written = draw.pick([bigEndian, littleEndian])(width, lie)
      written.copy(changed, draw.int(draw.pick([40, 200, bytes.length])))
    }
    return changed
  },
  'chunks shuffled': (bytes, draw) => {
    const chunks = splitChunks(bytes)
    if (chunks.length < 2) return flip(bytes, draw, bytes.length)
    const at = 1 + draw.int(chunks.length - 1)
    const chunk = chunks[at]!
    const other = 1 + draw.int(chunks.length - 1)
    const change = draw.int(4)
    if (change === 0) chunks.splice(at, 1)
    else if (change === 1) chunks.splice(other, 0, ...Array<Buffer>(1 + draw.int(100)).fill(chunk))
    else if (change === 2) [chunks[at], chunks[other]] = [chunks[other]!, chunk]
    else chunks[at] = flip(chunk, draw, chunk.length)
    return Buffer.concat(isPng(bytes) ? chunks.map(withChecksum) : chunks)
  },
  'begun as another': (bytes, draw) => {
    const magic = Buffer.from(draw.pick(magics), 'latin1')
    return Buffer.concat([magic, bytes.subarray(draw.pick([0, magic.length]))])
  },
  'ended as another': (bytes, draw, others) => {
    const other = draw.pick(others)
    return Buffer.concat([bytes.subarray(0, draw.int(bytes.length)), other.subarray(draw.int(other.length))])
  },
  disguised: (bytes, draw) => {
    const disguise = Buffer.from(draw.pick(disguises), 'latin1')
    const magic = Buffer.from(draw.pick(magics), 'latin1')
    return Buffer.concat(draw.pick([[disguise], [magic, disguise], [disguise, bytes], [bytes, disguise]]))
  },
}

export type PictureCase = Case & { bytes: Buffer }

/** Makes the mutated pictures of a seed: the same seed and number give the same bytes with the same version of sharp. */
export async function pictureMutator(seed: number): Promise<(number: number) => PictureCase> {
  const bases: [string, Buffer][] = []
  for (const [name, make] of Object.entries(basePictures)) bases.push([name, await make()])
  const others = bases.map(([, bytes]) => bytes)
  return (number) => {
    const draw = createDraw(seed, 0, number)
    const [base, original] = draw.pick(bases)
    const [mutation, mutate] = draw.pick(Object.entries(mutations))
    const origin = `${base}, ${mutation}`
    return { kind: 'picture', number, group: extname(base).slice(1), origin, bytes: mutate(original, draw, others) }
  }
}

function flip(bytes: Buffer, draw: Draw, within: number): Buffer {
  const changed = Buffer.from(bytes)
  for (let count = 1 + draw.int(draw.pick([1, 8, 64])); count > 0; count--) {
    changed[draw.int(within)]! ^= 1 << draw.int(8)
  }
  return changed
}

function isPng(bytes: Buffer): boolean {
  return bytes.toString('latin1', 1, 4) === 'PNG'
}

/** The chunks of PNG and WebP, the boxes of AVIF and the segments of JPEG; what comes before the first is the first. */
function splitChunks(bytes: Buffer): Buffer[] {
  const isJpeg = bytes[0] === 0xff
  const isRiff = bytes.toString('latin1', 0, 4) === 'RIFF'
  const isBoxes = bytes.toString('latin1', 4, 8) === 'ftyp'
  if (!isJpeg && !isRiff && !isBoxes && !isPng(bytes)) return []
  const chunks: Buffer[] = []
  let at = isJpeg ? 2 : isRiff ? 12 : isBoxes ? 0 : 8
  chunks.push(bytes.subarray(0, at))
  while (at + 8 <= bytes.length) {
    const length = isJpeg
      ? 2 + bytes.readUInt16BE(at + 2)
      : isRiff
        ? 8 + bytes.readUInt32LE(at + 4) + (bytes.readUInt32LE(at + 4) % 2)
        : isBoxes
          ? Math.max(8, bytes.readUInt32BE(at))
          : 12 + bytes.readUInt32BE(at)
    chunks.push(bytes.subarray(at, at + length))
    at += length
    // The coded picture follows, up to the next marker that is none.
    if (isJpeg && chunks.at(-1)![1] === 0xda) break
  }
  if (at < bytes.length) chunks.push(bytes.subarray(at))
  return chunks
}

/** Of a PNG chunk: a wrong one would be refused before anything else is looked at. */
function withChecksum(chunk: Buffer, index: number): Buffer {
  if (index === 0 || chunk.length < 12) return chunk
  return Buffer.concat([chunk.subarray(0, -4), bigEndian(4, crc32(chunk.subarray(4, -4)))])
}
