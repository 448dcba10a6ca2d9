import { createHash } from 'node:crypto'

/**
 * Of a picture's first take, 0 to 2^32 - 1: the first 4 bytes, big-endian, of the SHA-256 of its bytes and a `0`. The
 * same picture gives the same music on any machine and under any name.
 */
export function seedOf(picture: Buffer): number {
  return createHash('sha256').update(picture).update('0').digest().readUInt32BE()
}
