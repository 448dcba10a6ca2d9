/**
 * Uniform draws in [0, 1) with 24 bits, the precision of float32: sfc32 (Chris Doty-Humphrey, PractRand), its state
 * filled from the seed by splitmix32. The same seed gives the same draws on every machine and provider.
 * @param seed 0 to 2^32 - 1
 */
export function createUniform(seed: number): () => number {
  let [a, b, c, counter] = [splitmix32(seed, 1), splitmix32(seed, 2), splitmix32(seed, 3), 1]
  const next = () => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 8) / 2 ** 24
  }
  for (let warmUp = 0; warmUp < 12; warmUp++) next()
  return next
}

function splitmix32(seed: number, round: number): number {
  let z = (seed + round * 0x9e3779b9) | 0
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
  return z ^ (z >>> 15)
}
