import { layerNorm } from '../layers.ts'
import type { Scope, Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import type { ClipConfig } from './config.ts'
import { embeddingHead, transformer } from './transformer.ts'

/** CLIP's image tower: pixel values [batch, 3, side, side] to embeddings [batch, projection] of length 1. */
export function visionTower(scope: Scope, checkpoint: Checkpoint, config: ClipConfig, pixels: Value): Value {
  const name = 'vision_model'
  const { vision_config: vision } = config
  const { hidden_size: width, patch_size: patch, image_size: side } = vision

  const filterDims = [width, 3, patch, patch]
  const filters = checkpoint.read(`${name}.embeddings.patch_embedding.weight`, filterDims)
  const grid = scope.op('Conv', [pixels, scope.weight('patch_embedding', filterDims, filters)], {
    kernel_shape: [patch, patch],
    strides: [patch, patch],
  })
  const rows = scope.op('Transpose', [scope.op('Reshape', [grid, scope.int64([0, width, -1])])], { perm: [0, 2, 1] })

  // The class token stands before the patches and is the same in every picture: it is added with the positions.
  const positionDims = [(side / patch) ** 2 + 1, width]
  const positions = checkpoint.read(`${name}.embeddings.position_embedding.weight`, positionDims)
  const classToken = checkpoint.read(`${name}.embeddings.class_embedding`, [width])
  for (const [i, value] of classToken.entries()) positions[i]! += value
  const embedded = scope.op('Add', [
    scope.op('Pad', [rows, scope.int64([0, 1, 0, 0, 0, 0])]),
    scope.weight('position_embedding', positionDims, positions),
  ])

  // "layrnorm" is how the checkpoints spell it.
  const normed = layerNorm(scope.at('pre_layrnorm'), embedded, {
    checkpoint,
    name: `${name}.pre_layrnorm`,
    width,
    epsilon: vision.layer_norm_eps,
  })
  const hidden = transformer(scope, checkpoint, { name, config: vision, hidden: normed })
  return embeddingHead(scope.at('head'), checkpoint, {
    norm: `${name}.post_layernorm`,
    projection: 'visual_projection',
    config: vision,
    embeddingWidth: config.projection_dim,
    states: scope.op('Gather', [hidden, scope.int64(0)], { axis: 1 }),
  })
}
