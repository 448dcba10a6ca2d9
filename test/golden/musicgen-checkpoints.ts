import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type MusicgenShape, tinyShape, writeRandomMusicgen } from '../../services/models/musicgen/tiny.ts'
import { createRandomWeights } from '../../services/models/random-weights.ts'

interface Changes {
  seed: number
  text?: Partial<MusicgenShape['text']>
  decoder?: Partial<MusicgenShape['decoder']>
  audio?: Partial<MusicgenShape['audio']>
  codebookSize?: number
  /** Thousands of bits per second, of which the reference takes the number of EnCodec's codebooks. */
  bandwidth?: number
  generation: { guidance_scale: number; top_k: number; temperature: number }
}

/** The checkpoints that musicgen.json has the reference's values of. */
const checkpoints = {
  mono: { seed: 7, generation: { guidance_scale: 3, top_k: 250, temperature: 1 } },
  unguided: {
    seed: 10,
    text: { d_model: 16, d_kv: 6, d_ff: 40, num_layers: 3, num_heads: 2 },
    decoder: { hidden_size: 40, ffn_dim: 96, num_hidden_layers: 5, num_attention_heads: 5 },
    audio: { pad_mode: 'constant', num_filters: 2, num_lstm_layers: 1 },
    codebookSize: 512,
    bandwidth: 1.8,
    generation: { guidance_scale: 1, top_k: 40, temperature: 0.7 },
  },
  stereo: {
    seed: 9,
    text: { num_layers: 1, num_heads: 4 },
    decoder: { hidden_size: 48, num_attention_heads: 4, num_hidden_layers: 3, num_codebooks: 8, audio_channels: 2 },
    audio: { pad_mode: 'replicate' },
    codebookSize: 1024,
    bandwidth: 2.1,
    generation: { guidance_scale: 3, top_k: 250, temperature: 1.3 },
  },
  // The widths of text and decoder agree, so that there is no projection between them.
  'stereo unguided': {
    seed: 8,
    text: { relative_attention_num_buckets: 16, relative_attention_max_distance: 40 },
    decoder: { hidden_size: 24, num_attention_heads: 1, num_hidden_layers: 1, num_codebooks: 8, audio_channels: 2 },
    audio: { use_causal_conv: true },
    codebookSize: 256,
    bandwidth: 1.7,
    generation: { guidance_scale: 1, top_k: 300, temperature: 1 },
  },
  '16 kHz': {
    seed: 11,
    decoder: { hidden_size: 16, ffn_dim: 32, num_attention_heads: 4, num_codebooks: 2 },
    audio: { sampling_rate: 16000, upsampling_ratios: [8, 5, 4, 2], num_residual_layers: 2, use_conv_shortcut: true },
    bandwidth: 1.1,
    generation: { guidance_scale: 1.5, top_k: 5, temperature: 1 },
  },
} satisfies Record<string, Changes>

export type CheckpointName = keyof typeof checkpoints

/** Writes a checkpoint into `dir`, the same each time. */
export function writeGoldenCheckpoint(dir: string, name: CheckpointName): void {
  const { seed, text, decoder, audio, codebookSize, bandwidth, generation }: Changes = checkpoints[name]
  const size = codebookSize ?? tinyShape.decoder.vocab_size
  const shape = {
    text: { ...tinyShape.text, ...text },
    decoder: { ...tinyShape.decoder, vocab_size: size, pad_token_id: size, bos_token_id: size, ...decoder },
    audio: {
      ...tinyShape.audio,
      codebook_size: size,
      target_bandwidths: bandwidth ? [bandwidth] : tinyShape.audio.target_bandwidths,
      ...audio,
    },
  }
  writeRandomMusicgen(dir, { shape, random: createRandomWeights(seed) })
  const tokens = { bos_token_id: size, decoder_start_token_id: size, pad_token_id: size, max_length: 1500 }
  writeFileSync(join(dir, 'generation_config.json'), JSON.stringify({ ...tokens, ...generation }))
}
