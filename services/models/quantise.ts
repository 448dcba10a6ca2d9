/** Weights of `bits` bits in blocks along the inputs, as com.microsoft.MatMulNBits takes them. */
export interface QuantisedWeight {
  /** [outputs, blocks, blockSize x bits / 8] unsigned, low half byte first; the middle of the range stands for zero. */
  packed: Uint8Array
  /** [outputs, blocks] */
  scales: Float32Array
  blocks: number
}

/**
 * Rounds a matrix [outputs, inputs] to the nearest of 2^bits levels, block by block: the value farthest from zero
 * becomes the lowest level exactly, since there is one more level below zero than above.
 */
export function quantise(
  weight: Float32Array,
  { inputs, outputs, bits, blockSize }: { inputs: number; outputs: number; bits: 4 | 8; blockSize: number },
): QuantisedWeight {
  const blocks = Math.ceil(inputs / blockSize)
  const zero = 2 ** (bits - 1)
  const highest = 2 * zero - 1
  const scales = new Float32Array(outputs * blocks)
  // The last block may be longer than what is left of its row.
  const levels = new Uint8Array(outputs * blocks * blockSize).fill(zero)
  for (let row = 0, block = 0; row < outputs; row++) {
    for (let column = 0; column < inputs; column += blockSize, block++) {
      const begin = row * inputs + column
      const end = begin + Math.min(blockSize, inputs - column)
      const scale = Math.fround(farthestFromZero(weight, begin, end) / -zero)
      scales[block] = scale
      if (scale === 0) continue
      const inverse = 1 / scale
      for (let i = begin, at = block * blockSize; i < end; i++, at++) {
        const level = (weight[i]! * inverse + zero + 0.5) | 0
        levels[at] = level > highest ? highest : level
      }
    }
  }
  return { packed: bits === 8 ? levels : packPairs(levels), scales, blocks }
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
