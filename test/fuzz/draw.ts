import { createUniform } from '../../services/consumer/musicgen/random.ts'

export type Draw = ReturnType<typeof createDraw>

/** Random choices for one case, which depend on nothing but the seed, what is drawn for, and the number of the case. */
export function createDraw(seed: number, purpose: number, number: number) {
  const uniform = createUniform((Math.imul(seed, 0x9e3779b1) ^ Math.imul(number * 4 + purpose, 0x85ebca6b)) >>> 0)
  /** 0 to `below` - 1. */
  const int = (below: number) => Math.floor(uniform() * below)
  return {
    int,
    pick: <T>(choices: readonly T[]): T => choices[int(choices.length)]!,
    bytes: (length: number) => Buffer.from(Array.from({ length }, () => int(256))),
    /** A part of `length`, seldom long: its start and its end. */
    part(length: number): [number, number] {
      const start = int(length)
      return [start, Math.min(length, start + 1 + Math.floor(length * uniform() ** 4))]
    },
  }
}
