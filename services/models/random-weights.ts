import type { Tensor } from './safetensors.ts'

/**
 * Makes tensors of seeded, about normally distributed numbers for generated checkpoints: the same on every machine,
 * because nothing but integer arithmetic and sums goes in.
 * @param seed 0 to 2^32 - 1
 */
export function createRandomWeights(seed: number) {
  const uniform = mulberry32(seed)
  /** The sum of 12 uniform numbers has mean 6 and variance 1. */
  const normal = () => {
    let sum = -6
    for (let i = 0; i < 12; i++) sum += uniform()
    return sum
  }
  return (name: string, dims: number[], { mean = 0, deviation }: { mean?: number; deviation: number }): Tensor => {
    const length = dims.reduce((product, dim) => product * dim, 1)
    return { name, dims, data: Float32Array.from({ length }, () => mean + deviation * normal()) }
  }
}

export type Random = ReturnType<typeof createRandomWeights>

/** A matrix that keeps the scale of what it multiplies, times `gain`. */
export function matrix(random: Random, name: string, outputs: number, inputs: number, gain = 1): Tensor {
  return random(name, [outputs, inputs], { deviation: gain * inputs ** -0.5 })
}

/** Tommy Ettinger's generator of uniform numbers in [0, 1). */
export function mulberry32(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let z = Math.imul(state ^ (state >>> 15), state | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32
  }
}
