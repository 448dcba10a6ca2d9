/** Weights of `bits` bits in blocks along the inputs, as com.microsoft.MatMulNBits takes them. */
interface QuantisedWeight {
  /** [outputs, blocks, blockSize x bits / 8] unsigned, low half byte first; the middle of the range stands for zero. */
  packed: Uint8Array
  /** [outputs, blocks] */
  scales: Float32Array
  blocks: number
}

/** Parts of the full range of 4 bits to try for each block: cutting off outliers makes the other steps finer. */
const ranges = { 8: [1], 4: [1, 0.92, 0.84] }

/**
 * Rounds a matrix [outputs, inputs] to the nearest of 2^bits levels, block by block. The value farthest from zero
 * becomes the lowest level, since there is one more level below zero than above, or falls beyond it where the squares
 * of the block's errors then add up to less.
 */
export function quantise(
  weight: Float32Array,
  { inputs, outputs, bits, blockSize }: { inputs: number; outputs: number; bits: 4 | 8; blockSize: number },
): QuantisedWeight {
  const blocks = Math.ceil(inputs / blockSize)
  const zero = 2 ** (bits - 1)
  const highest = 2 * zero - 1
  const scales = new Float32Array(outputs * blocks)
  // The last block of a row may be longer than what is left of the row.
  const levels = new Uint8Array(outputs * blocks * blockSize).fill(zero)
  for (let row = 0, block = 0; row < outputs; row++) {
    for (let column = 0; column < inputs; column += blockSize, block++) {
      const begin = row * inputs + column
      const end = begin + Math.min(blockSize, inputs - column)
      const scale = bestScale(weight, { begin, end, bits })
      scales[block] = scale
      if (scale === 0) continue
      const inverse = 1 / scale
      for (let i = begin, at = block * blockSize; i < end; i++, at++) {
        const level = (Math.max(weight[i]! * inverse, -zero) + zero + 0.5) | 0
        levels[at] = level > highest ? highest : level
      }
    }
  }
  return { packed: bits === 8 ? levels : packPairs(levels), scales, blocks }
}

function bestScale(weight: Float32Array, { begin, end, bits }: { begin: number; end: number; bits: 4 | 8 }): number {
  const zero = 2 ** (bits - 1)
  const full = farthestFromZero(weight, begin, end) / -zero
  if (ranges[bits].length === 1 || full === 0) return Math.fround(full)
  let best = 0
  let least = Number.POSITIVE_INFINITY
  for (const range of ranges[bits]) {
    const scale = Math.fround(full * range)
    const inverse = 1 / scale
    let error = 0
    for (let i = begin; i < end; i++) {
      const level = Math.min(Math.max(Math.floor(weight[i]! * inverse + 0.5), -zero), zero - 1)
      const difference = level * scale - weight[i]!
      error += difference * difference
    }
    if (error < least) {
      least = error
      best = scale
    }
  }
  return best
}

function farthestFromZero(weight: Float32Array, begin: number, end: number): number {
  let farthest = 0
  let distance = 0
  for (let i = begin; i < end; i++) {
    const size = Math.abs(weight[i]!)
    if (size > distance) {
      distance = size
      farthest = weight[i]!
    }
  }
  return farthest
}

function packPairs(levels: Uint8Array): Uint8Array {
  const packed = new Uint8Array(levels.length / 2)
  for (let i = 0; i < packed.length; i++) packed[i] = levels[2 * i]! | (levels[2 * i + 1]! << 4)
  return packed
}
