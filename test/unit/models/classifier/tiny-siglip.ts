import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tinyLayers } from '../../../../services/models/classifier/tiny-layers.ts'
import { createRandomWeights } from '../../../../services/models/random-weights.ts'
import { type Tensor, writeSafetensors } from '../../../../services/models/safetensors.ts'
import { tinyTokenizer, tinyTokenizerConfig, vocabularySize } from './tiny-siglip-tokenizer.ts'

const width = 48
const config = {
  architectures: ['SiglipModel'],
  model_type: 'siglip',
  text_config: {
    model_type: 'siglip_text_model',
    vocab_size: vocabularySize,
    hidden_size: width,
    intermediate_size: 80,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    max_position_embeddings: 64,
    projection_size: width,
  },
  vision_config: {
    model_type: 'siglip_vision_model',
    hidden_size: width,
    intermediate_size: 96,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    image_size: 64,
    patch_size: 16,
  },
}

/** Writes a SigLIP checkpoint as `writeTinyClip` writes a CLIP checkpoint. */
export function writeTinySiglip(dir: string, { seed }: { seed: number }): void {
  mkdirSync(dir, { recursive: true })
  const writeJson = (name: string, value: object) =>
    writeFileSync(join(dir, name), `${JSON.stringify(value, null, 2)}\n`)
  writeJson('config.json', config)
  writeJson('preprocessor_config.json', preprocessorConfig())
  writeJson('tokenizer.json', tinyTokenizer())
  writeJson('tokenizer_config.json', tinyTokenizerConfig({ maxTokens: config.text_config.max_position_embeddings }))
  writeSafetensors(join(dir, 'model.safetensors'), weights(seed))
}

function weights(seed: number): Tensor[] {
  const random = createRandomWeights(seed)
  const { text_config: text, vision_config: vision } = config
  const { linear, layerNorm, feedForward, layers } = tinyLayers(random)
  const patches = (vision.image_size / vision.patch_size) ** 2
  const filters = [width, 3, vision.patch_size, vision.patch_size]
  return [
    random('logit_scale', [1], { mean: 2.3, deviation: 0 }),
    random('logit_bias', [1], { mean: -10, deviation: 0 }),
    random('text_model.embeddings.token_embedding.weight', [text.vocab_size, width], { deviation: 1 }),
    random('text_model.embeddings.position_embedding.weight', [text.max_position_embeddings, width], {
      deviation: 0.3,
    }),
    ...layers('text_model', text),
    ...layerNorm('text_model.final_layer_norm', width),
    ...linear('text_model.head', width, width),
    random('vision_model.embeddings.patch_embedding.weight', filters, {
      deviation: (3 * vision.patch_size ** 2) ** -0.5,
    }),
    random('vision_model.embeddings.patch_embedding.bias', [width], { deviation: 0.1 }),
    random('vision_model.embeddings.position_embedding.weight', [patches, width], { deviation: 0.3 }),
    ...layers('vision_model', vision),
    ...layerNorm('vision_model.post_layernorm', width),
    random('vision_model.head.probe', [1, 1, width], { deviation: 1 }),
    random('vision_model.head.attention.in_proj_weight', [3 * width, width], { deviation: width ** -0.5 }),
    random('vision_model.head.attention.in_proj_bias', [3 * width], { deviation: 0.1 }),
    ...linear('vision_model.head.attention.out_proj', width, width),
    ...layerNorm('vision_model.head.layernorm', width),
    ...feedForward('vision_model.head.mlp', vision),
  ]
}

function preprocessorConfig() {
  const { image_size: side } = config.vision_config
  return {
    image_processor_type: 'SiglipImageProcessor',
    do_resize: true,
    size: { height: side, width: side },
    resample: 3,
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.5, 0.5, 0.5],
  }
}
