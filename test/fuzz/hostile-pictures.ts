/**
 * Small files that ask for much work or memory, valid or nearly so. `scans`, `frames` and the like say how much: the work
 * grows with them at the least.
 */

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
  const bytes = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1').match(/.{8}/g)!
  return Buffer.from(bytes.flatMap((each) => (each === '11111111' ? [0xff, 0] : [Number.parseInt(each, 2)])))
}

function jpegSegment(marker: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0xff, marker]), bigEndian(2, body.length + 2), body])
}

export function bigEndian(bytes: number, ...values: number[]): Buffer {
  const buffer = Buffer.alloc(bytes * values.length)
  for (const [index, value] of values.entries()) buffer.writeUIntBE(value, index * bytes, bytes)
  return buffer
}

export function littleEndian(bytes: number, ...values: number[]): Buffer {
  return bigEndian(bytes, ...values.toReversed()).reverse()
}
