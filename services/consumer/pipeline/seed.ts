import { createHash } from 'node:crypto'

/**
 * 0 to 2^32 - 1: the first 4 bytes, big-endian, of the SHA-256 of the picture's bytes and the take's number in decimal.
 * The same picture gives the same music on any machine and under any name.
 */
export function seedOf(picture: Buffer, take: number): number {
  return createHash('sha256').update(picture).update(String(take)).digest().readUInt32BE()
}
