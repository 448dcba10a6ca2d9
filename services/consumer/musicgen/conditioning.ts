import { musicDecoder, textEncoder } from '#shared/model/graph.ts'
import type { MusicManifest } from '#shared/model/manifest.ts'
import { type Graph, int64, output, type Tensor } from '../onnx/graph.ts'

/**
 * Texts are padded to a multiple of so many tokens. Kernels add this many numbers, or a part of them, at once and what
 * is left over in another order; in whole portions the zeros of a longer padding change no sum.
 */
const portion = 16

type Music = Pick<MusicManifest['music'], 'layers' | 'heads' | 'headWidth' | 'textPadToken'>

/**
 * The decoder's inputs that a batch of texts makes. Each text is encoded on its own, whatever the others are, and then
 * padded to the longest and masked.
 */
export async function conditionOnTexts(
  graph: Graph,
  texts: readonly (readonly number[])[],
  { layers, heads, headWidth, textPadToken }: Music,
): Promise<Record<string, Tensor>> {
  const batch = texts.length
  const paddedLengths = texts.map((ids) => Math.ceil(ids.length / portion) * portion)
  const length = Math.max(...paddedLengths)
  const mask = new BigInt64Array(batch * length)
  const keys = new Float32Array(layers * batch * heads * length * headWidth)
  const values = new Float32Array(keys.length)
  for (const [row, ids] of texts.entries()) {
    const own = paddedLengths[row]!
    const present = new BigInt64Array(own).fill(1n, 0, ids.length)
    mask.set(present, row * length)
    const padded = [...ids, ...Array<number>(own - ids.length).fill(textPadToken)]
    const encoded = await graph.run({
      [textEncoder.inputIds]: int64(padded, [1, own]),
      [textEncoder.attentionMask]: int64(present, [1, own]),
    })
    // [layers, 1, heads, own, headWidth] into [layers, batch, heads, length, headWidth]
    const place = (all: Float32Array, { data }: { data: Float32Array }) => {
      const block = own * headWidth
      for (let stretch = 0; stretch < layers * heads; stretch++) {
        const at = (Math.floor(stretch / heads) * batch + row) * heads + (stretch % heads)
        all.set(data.subarray(stretch * block, (stretch + 1) * block), at * length * headWidth)
      }
    }
    place(keys, output(encoded, textEncoder.crossKeys, 'float32'))
    place(values, output(encoded, textEncoder.crossValues, 'float32'))
  }
  const dims = [layers, batch, heads, length, headWidth]
  return {
    [musicDecoder.attentionMask]: int64(mask, [batch, length]),
    [musicDecoder.crossKeys]: { type: 'float32', data: keys, dims },
    [musicDecoder.crossValues]: { type: 'float32', data: values, dims },
  }
}
