import Type, { type Static } from 'typebox'
import { CheckpointError } from '../checkpoint-error.ts'
import type { Checkpoint } from '../safetensors.ts'

const activations = ['quick_gelu', 'gelu', 'gelu_pytorch_tanh'] as const

/** What every tower has. Checkpoints leave out what equals transformers' defaults. */
export const tower = (defaults: {
  width: number
  feedForward: number
  heads: number
  activation: (typeof activations)[number]
  epsilon: number
}) => ({
  hidden_size: count(defaults.width),
  intermediate_size: count(defaults.feedForward),
  num_hidden_layers: count(12),
  num_attention_heads: count(defaults.heads),
  hidden_act: Type.Enum(activations, { default: defaults.activation }),
  layer_norm_eps: Type.Number({ exclusiveMinimum: 0, default: defaults.epsilon }),
})

export function count(standard: number) {
  return Type.Integer({ minimum: 1, default: standard })
}

const TowerConfig = Type.Object(tower({ width: 1, feedForward: 1, heads: 1, activation: 'gelu', epsilon: 1 }))
export type TowerConfig = Static<typeof TowerConfig>

interface Sizes {
  text_config: { hidden_size: number; num_attention_heads: number }
  vision_config: { hidden_size: number; num_attention_heads: number; image_size: number; patch_size: number }
}

/** What a schema cannot say: which sizes must divide which. */
export function checkSizes(path: string, config: Sizes): void {
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
}

/** exp(-logit_scale), by which both architectures divide similarities. */
export function temperatureOf(checkpoint: Checkpoint): number {
  const [scale] = checkpoint.read('logit_scale', checkpoint.dims('logit_scale')?.length ? [1] : [])
  const temperature = Math.exp(-scale!)
  if (temperature > 0 && temperature < Number.POSITIVE_INFINITY) return temperature
  throw new CheckpointError(`tensor logit_scale is ${scale}, expected a number of moderate size`)
}
