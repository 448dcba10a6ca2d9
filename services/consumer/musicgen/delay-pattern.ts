/**
 * MusicGen's delay pattern: column 0 holds the start token in every codebook, and frame f of codebook k stands in column
 * f + delays[k] + 1. Mono models delay codebook k by k columns, stereo models each pair of left and right by one more.
 * The longest delay adds as many steps to the frames of a clip.
 */
export function stepCount(frames: number, delays: readonly number[]): number {
  return frames + Math.max(...delays)
}

const minSeconds = 0.02
/** MusicGen was trained on clips of 30 s; past that it loses itself. */
const maxSeconds = 30

/** Frames of a clip of this many seconds, at least one. Throws RangeError outside of 0.02 to 30 s. */
export function frameCount(seconds: number, frameRate: number): number {
  if (!(seconds >= minSeconds && seconds <= maxSeconds)) {
    throw new RangeError(`a clip lasts ${minSeconds} to ${maxSeconds} s; found ${seconds}`)
  }
  return Math.max(1, Math.round(seconds * frameRate))
}

/**
 * Undoes the delay for one clip of a batch.
 * @param columns the sampled columns 1, 2, ... [steps, batch, codebooks]
 * @returns codes [codebooks, frames]
 */
export function undoDelay(
  columns: BigInt64Array,
  { clip, batch, delays, frames }: { clip: number; batch: number; delays: readonly number[]; frames: number },
): BigInt64Array {
  const codes = new BigInt64Array(delays.length * frames)
  for (const [codebook, delay] of delays.entries()) {
    for (let frame = 0; frame < frames; frame++) {
      codes[codebook * frames + frame] = columns[((frame + delay) * batch + clip) * delays.length + codebook]!
    }
  }
  return codes
}
