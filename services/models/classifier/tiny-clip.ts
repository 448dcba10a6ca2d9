import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRandomWeights, type Random } from '../random-weights.ts'
import { type Tensor, writeSafetensors } from '../safetensors.ts'
import { endId, startId, tinyTokenizer, tinyTokenizerConfig } from './tiny-clip-tokenizer.ts'
import { tinyLayers } from './tiny-layers.ts'

export const tinyShape = {
  architectures: ['CLIPModel'],
  model_type: 'clip',
  projection_dim: 24,
  logit_scale_init_value: 2.6592,
  text_config: {
    model_type: 'clip_text_model',
    vocab_size: endId + 1,
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    max_position_embeddings: 77,
    hidden_act: 'quick_gelu',
    layer_norm_eps: 1e-5,
    projection_dim: 24,
    bos_token_id: startId,
    eos_token_id: endId,
    pad_token_id: endId,
  },
  vision_config: {
    model_type: 'clip_vision_model',
    hidden_size: 48,
    intermediate_size: 96,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    num_channels: 3,
    image_size: 64,
    patch_size: 16,
    hidden_act: 'quick_gelu',
    layer_norm_eps: 1e-5,
    projection_dim: 24,
  },
}

/** Dimensions of a checkpoint, as config.json has them. */
export type ClipShape = typeof tinyShape

/**
 * Writes a CLIP checkpoint in Hugging Face's layout: CLIP's own architecture and preprocessing, a few thousandths of
 * its size, and seeded random weights. It tells pictures apart but its labels mean nothing.
 */
export function writeTinyClip(dir: string, { seed }: { seed: number }): void {
  writeRandomClip(dir, { shape: tinyShape, random: createRandomWeights(seed) })
}

/** The same in any shape. */
export function writeRandomClip(dir: string, { shape, random }: { shape: ClipShape; random: Random }): void {
  mkdirSync(dir, { recursive: true })
  const writeJson = (name: string, value: object) =>
    writeFileSync(join(dir, name), `${JSON.stringify(value, null, 2)}\n`)
  writeJson('config.json', shape)
  writeJson('preprocessor_config.json', preprocessorConfig(shape))
  writeJson('tokenizer.json', tinyTokenizer())
  writeJson('tokenizer_config.json', tinyTokenizerConfig({ maxTokens: shape.text_config.max_position_embeddings }))
  writeSafetensors(join(dir, 'model.safetensors'), weights(random, shape))
}

function weights(random: Random, shape: ClipShape): Tensor[] {
  const { text_config: text, vision_config: vision, projection_dim: projection } = shape
  const { layerNorm, layers } = tinyLayers(random)
  const patches = (vision.image_size / vision.patch_size) ** 2
  const patchDims = [vision.hidden_size, 3, vision.patch_size, vision.patch_size]
  return [
    random('logit_scale', [], { mean: shape.logit_scale_init_value, deviation: 0 }),
    random('text_model.embeddings.token_embedding.weight', [text.vocab_size, text.hidden_size], { deviation: 1 }),
    random('text_model.embeddings.position_embedding.weight', [text.max_position_embeddings, text.hidden_size], {
      deviation: 0.3,
    }),
    ...layers('text_model', text),
    ...layerNorm('text_model.final_layer_norm', text.hidden_size),
    random('text_projection.weight', [projection, text.hidden_size], { deviation: text.hidden_size ** -0.5 }),
    random('vision_model.embeddings.class_embedding', [vision.hidden_size], { deviation: 0.3 }),
    random('vision_model.embeddings.patch_embedding.weight', patchDims, {
      deviation: (3 * vision.patch_size ** 2) ** -0.5,
    }),
    random('vision_model.embeddings.position_embedding.weight', [patches + 1, vision.hidden_size], { deviation: 0.3 }),
    ...layerNorm('vision_model.pre_layrnorm', vision.hidden_size),
    ...layers('vision_model', vision),
    ...layerNorm('vision_model.post_layernorm', vision.hidden_size),
    random('visual_projection.weight', [projection, vision.hidden_size], { deviation: vision.hidden_size ** -0.5 }),
  ]
}

function preprocessorConfig({ vision_config: { image_size: side } }: ClipShape) {
  return {
    image_processor_type: 'CLIPImageProcessor',
    do_convert_rgb: true,
    do_resize: true,
    size: { shortest_edge: side },
    resample: 3,
    do_center_crop: true,
    crop_size: { height: side, width: side },
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: [0.48145466, 0.4578275, 0.40821073],
    image_std: [0.26862954, 0.26130258, 0.27577711],
  }
}
