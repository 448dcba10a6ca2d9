/**
 * MusicGen's delay pattern: codebook k runs k columns behind. Column 0 holds the start token in every codebook; of a
 * clip with F frames, frame f of codebook k stands in column f + k + 1, so K codebooks need F + K - 1 steps.
 */
export function stepCount(frames: number, codebooks: number): number {
  return frames + codebooks - 1
}

/** Frames of a clip of this many seconds, at least one. */
export function frameCount(seconds: number, frameRate: number): number {
  return Math.max(1, Math.round(seconds * frameRate))
}

/**
 * Undoes the delay for one clip of a batch.
 * @param columns the sampled columns 1, 2, ... [steps, batch, codebooks]
 * @returns codes [codebooks, frames]
 */
export function undoDelay(
  columns: BigInt64Array,
  { clip, batch, codebooks, frames }: { clip: number; batch: number; codebooks: number; frames: number },
): BigInt64Array {
  const codes = new BigInt64Array(codebooks * frames)
  for (let codebook = 0; codebook < codebooks; codebook++) {
    for (let frame = 0; frame < frames; frame++) {
      codes[codebook * frames + frame] = columns[((frame + codebook) * batch + clip) * codebooks + codebook]!
    }
  }
  return codes
}
