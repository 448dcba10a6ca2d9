import { existsSync } from 'node:fs'
import { join } from 'node:path'
import Type, { type Static } from 'typebox'
import Value from 'typebox/value'
import { CheckpointError } from '../checkpoint-error.ts'
import { readCheckpointJson } from '../checkpoint-json.ts'

const count = Type.Integer({ minimum: 1 })
const positive = Type.Number({ exclusiveMinimum: 0 })

/**
 * Fields with a default here were added to transformers after the first checkpoints had been published, or are left out by
 * some of its versions where they are the usual ones (4.57: pad_token_id).
 */
const TextConfig = Type.Object({
  model_type: Type.Literal('t5'),
  feed_forward_proj: Type.Literal('relu'),
  vocab_size: count,
  d_model: count,
  d_kv: count,
  d_ff: count,
  num_layers: count,
  num_heads: count,
  relative_attention_num_buckets: Type.Integer({ minimum: 4, multipleOf: 4 }),
  relative_attention_max_distance: Type.Integer({ minimum: 2, default: 128 }),
  layer_norm_epsilon: positive,
  pad_token_id: Type.Integer({ minimum: 0, default: 0 }),
  n_positions: Type.Integer({ minimum: 1, default: 512 }),
})
export type TextConfig = Static<typeof TextConfig>

const DecoderConfig = Type.Object({
  model_type: Type.Literal('musicgen_decoder'),
  activation_function: Type.Literal('gelu'),
  vocab_size: count,
  hidden_size: Type.Integer({ minimum: 4, multipleOf: 2 }),
  ffn_dim: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_codebooks: count,
  audio_channels: Type.Enum([1, 2], { default: 1 }),
  cross_attention_hidden_size: Type.Null({ default: null }),
})
export type DecoderConfig = Static<typeof DecoderConfig>

const AudioConfig = Type.Object({
  model_type: Type.Literal('encodec'),
  norm_type: Type.Literal('weight_norm'),
  pad_mode: Type.Enum(['reflect', 'constant', 'replicate']),
  use_causal_conv: Type.Boolean(),
  trim_right_ratio: Type.Number({ minimum: 0, maximum: 1, default: 1 }),
  use_conv_shortcut: Type.Boolean({ default: true }),
  sampling_rate: count,
  audio_channels: Type.Literal(1),
  chunk_length_s: Type.Null(),
  hidden_size: count,
  num_filters: count,
  num_residual_layers: count,
  upsampling_ratios: Type.Array(count, { minItems: 1 }),
  kernel_size: count,
  last_kernel_size: count,
  residual_kernel_size: count,
  dilation_growth_rate: count,
  compress: count,
  num_lstm_layers: count,
  codebook_size: count,
})
export type AudioConfig = Static<typeof AudioConfig>

const MusicgenConfig = Type.Object({
  model_type: Type.Literal('musicgen'),
  text_encoder: TextConfig,
  decoder: DecoderConfig,
  audio_encoder: AudioConfig,
})

/** What audiocraft samples with, wherever the checkpoint does not say otherwise. */
const Generation = Type.Object({
  guidance_scale: Type.Number({ default: 3 }),
  top_k: Type.Integer({ minimum: 1, default: 250 }),
  temperature: Type.Number({ exclusiveMinimum: 0, default: 1 }),
})

export interface MusicgenConfig extends Static<typeof MusicgenConfig> {
  generation: Static<typeof Generation>
}

/** Reads config.json and generation_config.json. Throws CheckpointError with the field, what it must be and what it is. */
export function readMusicgenConfig(checkpointDir: string): MusicgenConfig {
  const path = join(checkpointDir, 'config.json')
  const config = readCheckpointJson(path, MusicgenConfig)
  const { decoder, audio_encoder: audio } = config
  const expect = (field: string, found: number, holds: boolean, expected: string) => {
    if (!holds) throw new CheckpointError(`${path}: ${field} is ${found}, expected ${expected}`)
  }
  const { hidden_size: width, num_attention_heads: heads, num_codebooks: codebooks, audio_channels: channels } = decoder
  expect('decoder.hidden_size', width, width % heads === 0, `a multiple of its ${heads} heads`)
  expect('decoder.num_codebooks', codebooks, codebooks % channels === 0, `a multiple of its ${channels} channels`)
  const { vocab_size: size } = decoder
  expect(
    'audio_encoder.codebook_size',
    audio.codebook_size,
    audio.codebook_size === size,
    `decoder.vocab_size, ${size}`,
  )
  const trims = audio.use_causal_conv || audio.trim_right_ratio === 1
  expect('audio_encoder.trim_right_ratio', audio.trim_right_ratio, trims, '1, as the convolutions are not causal')
  const generation = join(checkpointDir, 'generation_config.json')
  return {
    ...config,
    generation: existsSync(generation) ? readCheckpointJson(generation, Generation) : Value.Create(Generation),
  }
}

/** The columns by which codebook k runs behind; stereo codebooks come in pairs, left and right, of the same delay. */
export function codebookDelays({ num_codebooks: codebooks, audio_channels: channels }: DecoderConfig): number[] {
  return Array.from({ length: codebooks }, (_, k) => Math.floor(k / channels))
}
