import { decoderRows, musicDecoder } from '#shared/model/graph.ts'
import type { MusicManifest } from '#shared/model/manifest.ts'
import type { Tensor } from '../onnx/graph.ts'

/**
 * What the decoder's layers remember of a generation: for each layer keys and values, [rows, heads, time, headWidth]. It
 * lies where it is claimed once, for all of `steps`, and grows in place, so that no step claims or frees memory by its length.
 */
export function createAttentionCache(
  { layers, heads, headWidth, guided }: MusicManifest['music'],
  { batch, steps }: { batch: number; steps: number },
) {
  const rows = decoderRows(guided, batch)
  const stretches = rows * heads
  const size = stretches * steps * headWidth
  const names = Array.from({ length: layers }, (_, layer) => [
    { past: musicDecoder.pastKeys(layer), added: musicDecoder.newKeys(layer), memory: new Float32Array(size) },
    { past: musicDecoder.pastValues(layer), added: musicDecoder.newValues(layer), memory: new Float32Array(size) },
  ]).flat()
  let time = 0

  return {
    /** The decoder's inputs; they are of this memory, and gone with the next `append`. */
    past(): Record<string, Tensor> {
      const dims = [rows, heads, time, headWidth]
      const end = stretches * time * headWidth
      return Object.fromEntries(
        names.map(({ past, memory }) => [past, { type: 'float32', dims, data: memory.subarray(0, end) }]),
      )
    },

    /** Takes over what the decoder has made in so many more steps. Throws RangeError past the last of `steps`. */
    append(outputs: Record<string, Tensor>, more: number): void {
      if (time + more > steps) throw new RangeError(`the cache has room for ${steps} steps, not ${time + more}`)
      for (const { added, memory } of names) {
        const { data } = outputs[added] as Extract<Tensor, { type: 'float32' }>
        const [before, block] = [time * headWidth, more * headWidth]
        // From the last to the first, so that none is written over before it has moved.
        for (let stretch = stretches - 1; stretch >= 0; stretch--) {
          const begin = stretch * (before + block)
          memory.copyWithin(begin, stretch * before, (stretch + 1) * before)
          memory.set(data.subarray(stretch * block, (stretch + 1) * block), begin + before)
        }
      }
      time += more
    },
  }
}
