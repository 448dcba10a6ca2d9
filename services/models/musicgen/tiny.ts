import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRandomWeights, matrix, type Random } from '../random-weights.ts'
import { type Tensor, writeSafetensors } from '../safetensors.ts'
import { audioTensors, tinyAudio } from './tiny-audio.ts'
import { tinyTokenizer } from './tiny-tokenizer.ts'

const tinyText = {
  vocab_size: tinyTokenizer().model.vocab.length,
  model_type: 't5',
  feed_forward_proj: 'relu',
  d_model: 24,
  d_kv: 8,
  d_ff: 48,
  num_layers: 2,
  num_heads: 3,
  relative_attention_num_buckets: 32,
  relative_attention_max_distance: 128,
  layer_norm_epsilon: 1e-6,
  n_positions: 512,
  pad_token_id: 0,
  eos_token_id: 1,
  is_encoder_decoder: false,
  use_cache: false,
}

const tinyDecoder = {
  model_type: 'musicgen_decoder',
  activation_function: 'gelu',
  vocab_size: 2048,
  hidden_size: 32,
  ffn_dim: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_codebooks: 4,
  audio_channels: 1,
  max_position_embeddings: 2048,
  pad_token_id: 2048,
  bos_token_id: 2048,
}

/** Dimensions of a checkpoint. */
export interface MusicgenShape {
  text: typeof tinyText
  decoder: typeof tinyDecoder
  audio: typeof tinyAudio
}

export const tinyShape: MusicgenShape = { text: tinyText, decoder: tinyDecoder, audio: tinyAudio }

/**
 * Writes a MusicGen checkpoint of seeded random weights into `dir`, laid out as Hugging Face's MusicGen, whose tensor
 * names and frame and sample rates it has. It composes noise, a different one for each prompt and seed.
 * @param seed 0 to 2^32 - 1
 */
export function writeTinyMusicgen(dir: string, { seed }: { seed: number }): void {
  writeRandomMusicgen(dir, { shape: tinyShape, random: createRandomWeights(seed) })
}

/** The same in any shape. */
export function writeRandomMusicgen(dir: string, { shape, random }: { shape: MusicgenShape; random: Random }): void {
  const { text, decoder, audio } = shape
  const write = (file: string, value: object) => writeFileSync(join(dir, file), `${JSON.stringify(value, null, 2)}\n`)
  mkdirSync(dir, { recursive: true })
  write('config.json', {
    architectures: ['MusicgenForConditionalGeneration'],
    model_type: 'musicgen',
    is_encoder_decoder: true,
    torch_dtype: 'float32',
    text_encoder: text,
    audio_encoder: audio,
    decoder,
  })
  write('generation_config.json', {
    bos_token_id: decoder.bos_token_id,
    decoder_start_token_id: decoder.bos_token_id,
    pad_token_id: decoder.pad_token_id,
    do_sample: true,
    guidance_scale: 3,
    max_length: 1500,
  })
  write('tokenizer.json', tinyTokenizer())
  write('tokenizer_config.json', {
    tokenizer_class: 'PreTrainedTokenizerFast',
    model_max_length: text.n_positions,
    pad_token: '<pad>',
    eos_token: '</s>',
    unk_token: '<unk>',
  })
  writeSafetensors(join(dir, 'model.safetensors'), [
    ...textTensors(random, text),
    ...projectionTensors(random, shape),
    ...decoderTensors(random, decoder),
    ...audioTensors(random, audio, decoder.num_codebooks / decoder.audio_channels),
  ])
}

function textTensors(random: Random, text: MusicgenShape['text']): Tensor[] {
  const {
    vocab_size: tokens,
    d_model: width,
    d_kv: headWidth,
    d_ff: feedForward,
    num_heads: heads,
    num_layers: layers,
  } = text
  const inner = heads * headWidth
  const near = (name: string) => random(name, [width], { mean: 1, deviation: 0.1 })
  const blocks = Array.from({ length: layers }, (_, i) => {
    const attention = `text_encoder.encoder.block.${i}.layer.0`
    const dense = `text_encoder.encoder.block.${i}.layer.1`
    const buckets = [text.relative_attention_num_buckets, heads]
    return [
      // T5 does not scale the product of query and key, so its queries are small instead.
      matrix(random, `${attention}.SelfAttention.q.weight`, inner, width, headWidth ** -0.5),
      ...['k', 'v'].map((part) => matrix(random, `${attention}.SelfAttention.${part}.weight`, inner, width)),
      matrix(random, `${attention}.SelfAttention.o.weight`, width, inner),
      ...(i === 0
        ? [random(`${attention}.SelfAttention.relative_attention_bias.weight`, buckets, { deviation: 0.5 })]
        : []),
      near(`${attention}.layer_norm.weight`),
      matrix(random, `${dense}.DenseReluDense.wi.weight`, feedForward, width),
      matrix(random, `${dense}.DenseReluDense.wo.weight`, width, feedForward),
      near(`${dense}.layer_norm.weight`),
    ]
  })
  return [
    random('text_encoder.shared.weight', [tokens, width], { deviation: 1 }),
    ...blocks.flat(),
    near('text_encoder.encoder.final_layer_norm.weight'),
  ]
}

/** None where the widths agree, as in transformers. */
function projectionTensors(random: Random, { text, decoder }: MusicgenShape): Tensor[] {
  if (text.d_model === decoder.hidden_size) return []
  return [
    matrix(random, 'enc_to_dec_proj.weight', decoder.hidden_size, text.d_model),
    random('enc_to_dec_proj.bias', [decoder.hidden_size], { deviation: 0.1 }),
  ]
}

function decoderTensors(random: Random, decoder: MusicgenShape['decoder']): Tensor[] {
  const { hidden_size: width, ffn_dim: feedForward, num_codebooks: codebooks, vocab_size: codebookSize } = decoder
  const root = 'decoder.model.decoder'
  const norm = (name: string) => [
    random(`${name}.weight`, [width], { mean: 1, deviation: 0.1 }),
    random(`${name}.bias`, [width], { deviation: 0.1 }),
  ]
  const layers = Array.from({ length: decoder.num_hidden_layers }, (_, i) => {
    const layer = `${root}.layers.${i}`
    const attention = (name: string) =>
      ['k_proj', 'v_proj', 'q_proj', 'out_proj'].map((part) =>
        matrix(random, `${layer}.${name}.${part}.weight`, width, width),
      )
    return [
      ...attention('self_attn'),
      ...norm(`${layer}.self_attn_layer_norm`),
      ...attention('encoder_attn'),
      ...norm(`${layer}.encoder_attn_layer_norm`),
      matrix(random, `${layer}.fc1.weight`, feedForward, width),
      matrix(random, `${layer}.fc2.weight`, width, feedForward),
      ...norm(`${layer}.final_layer_norm`),
    ]
  })
  const perCodebook = (make: (k: number) => Tensor) => Array.from({ length: codebooks }, (_, k) => make(k))
  return [
    ...perCodebook((k) => random(`${root}.embed_tokens.${k}.weight`, [codebookSize + 1, width], { deviation: 0.5 })),
    ...layers.flat(),
    ...norm(`${root}.layer_norm`),
    ...perCodebook((k) => matrix(random, `decoder.lm_heads.${k}.weight`, codebookSize, width)),
  ]
}
