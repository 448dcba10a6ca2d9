import { createRandomWeights, mulberry32, type Random } from '../../services/models/random-weights.ts'

/**
 * As `createRandomWeights`, for checkpoints of gigabytes: every tensor is a stretch of one pool of normally distributed
 * numbers, from a place of its own, and is made only when its data is read.
 */
export function createPooledWeights(seed: number): Random {
  const poolSize = 2 ** 22
  const { data: pool } = createRandomWeights(seed)('pool', [poolSize], { deviation: 1 })
  const uniform = mulberry32(seed)
  return (name, dims, { mean = 0, deviation }) => {
    const start = Math.floor(uniform() * poolSize)
    return {
      name,
      dims,
      get data() {
        const values = new Float32Array(dims.reduce((product, dim) => product * dim, 1))
        for (let i = 0, at = start; i < values.length; i++, at = (at + 1) % poolSize) {
          values[i] = mean + deviation * pool[at]!
        }
        return values
      },
    }
  }
}
