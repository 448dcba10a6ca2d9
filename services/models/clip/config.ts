import { join } from 'node:path'
import Type, { type Static } from 'typebox'
import type { ClassifierManifest } from '#shared/model/manifest.ts'
import { CheckpointError } from '../checkpoint-error.ts'
import { readCheckpointJson } from '../checkpoint-json.ts'

const count = (standard: number) => Type.Integer({ minimum: 1, default: standard })

/** What both towers have. Checkpoints leave out what equals transformers' defaults, which differ between the towers. */
const tower = (defaults: { width: number; feedForward: number; heads: number }) => ({
  hidden_size: count(defaults.width),
  intermediate_size: count(defaults.feedForward),
  num_hidden_layers: count(12),
  num_attention_heads: count(defaults.heads),
  hidden_act: Type.Enum(['quick_gelu', 'gelu'], { default: 'quick_gelu' }),
  layer_norm_eps: Type.Number({ exclusiveMinimum: 0, default: 1e-5 }),
})

const TextConfig = Type.Object({
  ...tower({ width: 512, feedForward: 2048, heads: 8 }),
  vocab_size: count(49408),
  max_position_embeddings: count(77),
  eos_token_id: Type.Integer({ minimum: 0, default: 49407 }),
})
export type TextConfig = Static<typeof TextConfig>

const VisionConfig = Type.Object({
  ...tower({ width: 768, feedForward: 3072, heads: 12 }),
  image_size: count(224),
  patch_size: count(32),
  num_channels: Type.Literal(3, { default: 3 }),
})
export type VisionConfig = Static<typeof VisionConfig>

export type TowerConfig = TextConfig | VisionConfig

const ClipConfig = Type.Object({
  model_type: Type.Literal('clip'),
  projection_dim: count(512),
  text_config: TextConfig,
  vision_config: VisionConfig,
})
export type ClipConfig = Static<typeof ClipConfig>

/** Reads config.json. Throws CheckpointError with the field, what it must be and what it is. */
export function readClipConfig(checkpointDir: string): ClipConfig {
  const path = join(checkpointDir, 'config.json')
  const config = readCheckpointJson(path, ClipConfig)
  for (const name of ['text_config', 'vision_config'] as const) {
    const { hidden_size: width, num_attention_heads: heads } = config[name]
    if (width % heads) {
      throw new CheckpointError(`${path}: ${name}.hidden_size is ${width}, expected a multiple of its ${heads} heads`)
    }
  }
  const { image_size: side, patch_size: patch } = config.vision_config
  if (side % patch) {
    throw new CheckpointError(
      `${path}: vision_config.image_size is ${side}, expected a multiple of its patches' ${patch}`,
    )
  }
  return config
}

const pixels = Type.Integer({ minimum: 1 })
const Square = Type.Object({ height: pixels, width: pixels })
const color = Type.Tuple([Type.Number(), Type.Number(), Type.Number()])
const PreprocessorConfig = Type.Object({
  do_resize: Type.Literal(true, { default: true }),
  do_center_crop: Type.Literal(true, { default: true }),
  do_rescale: Type.Literal(true, { default: true }),
  do_normalize: Type.Literal(true, { default: true }),
  /** A bare number is the shorter side. */
  size: Type.Union([pixels, Type.Object({ shortest_edge: pixels }), Square]),
  crop_size: Type.Union([pixels, Square]),
  resample: Type.Integer({ minimum: 0, maximum: 3, default: 3 }),
  image_mean: color,
  image_std: color,
})

/** PIL.Image.Resampling */
const resampling = ['nearest', 'lanczos3', 'bilinear', 'bicubic'] as const

/** Reads preprocessor_config.json: how pictures become the `side` x `side` pixel values that the image tower takes. */
export function readImageSpec(checkpointDir: string, side: number): ClassifierManifest['classifier']['image'] {
  const path = join(checkpointDir, 'preprocessor_config.json')
  const config = readCheckpointJson(path, PreprocessorConfig)
  const { size, crop_size: cropSize } = config
  const keepAspect = typeof size === 'number' || 'shortest_edge' in size
  const resize = typeof size === 'number' ? size : 'shortest_edge' in size ? size.shortest_edge : size.height
  const crop = typeof cropSize === 'number' ? cropSize : cropSize.height
  for (const [name, square] of Object.entries({ size, crop_size: cropSize })) {
    if (typeof square === 'object' && 'width' in square && square.width !== square.height) {
      throw new CheckpointError(`${path}: ${name} is ${square.width} x ${square.height}, expected a square`)
    }
  }
  if (crop !== side)
    throw new CheckpointError(`${path}: crop_size is ${crop}, expected config.json's image_size ${side}`)
  if (crop > resize) throw new CheckpointError(`${path}: crop_size is ${crop}, expected at most size, ${resize}`)
  return {
    resize,
    keepAspect,
    crop,
    resample: resampling[config.resample]!,
    mean: config.image_mean,
    deviation: config.image_std,
  }
}
