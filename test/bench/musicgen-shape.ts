import { type MusicgenShape, tinyShape } from '../../services/models/musicgen/tiny.ts'

export const sizes = ['tiny', 'small', 'medium'] as const
export type Size = (typeof sizes)[number]

/** T5-base. */
const text = {
  ...tinyShape.text,
  vocab_size: 32128,
  d_model: 768,
  d_kv: 64,
  d_ff: 3072,
  num_layers: 12,
  num_heads: 12,
}
/** EnCodec at 32 kHz. */
const audio = { ...tinyShape.audio, hidden_size: 128, codebook_dim: 128, num_filters: 64 }

const decoder = (width: number, layers: number) => ({
  ...tinyShape.decoder,
  hidden_size: width,
  ffn_dim: 4 * width,
  num_hidden_layers: layers,
  num_attention_heads: width / 64,
})

/** Dimensions of facebook/musicgen-small and -medium. */
export const shapes: Record<Size, MusicgenShape> = {
  tiny: tinyShape,
  small: { text, audio, decoder: decoder(1024, 24) },
  medium: { text, audio, decoder: decoder(1536, 48) },
}
