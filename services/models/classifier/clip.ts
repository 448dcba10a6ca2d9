import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import Type, { type Static } from 'typebox'
import { tokenizerFile } from '#shared/model/manifest.ts'
import { CheckpointError } from '../checkpoint-error.ts'
import { readCheckpointJson } from '../checkpoint-json.ts'
import { linear } from '../layers.ts'
import type { Scope, Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import { checkSizes, count, type TowerConfig, temperatureOf, tower } from './tower-config.ts'
import type { Towers } from './towers.ts'
import { norm, patches, transformer, unitLength } from './transformer.ts'

const common = { activation: 'quick_gelu', epsilon: 1e-5 } as const

const ClipConfig = Type.Object({
  projection_dim: count(512),
  text_config: Type.Object({
    ...tower({ width: 512, feedForward: 2048, heads: 8, ...common }),
    vocab_size: count(49408),
    max_position_embeddings: count(77),
    eos_token_id: Type.Integer({ minimum: 0, default: 49407 }),
  }),
  vision_config: Type.Object({
    ...tower({ width: 768, feedForward: 3072, heads: 12, ...common }),
    image_size: count(224),
    patch_size: count(32),
    num_channels: Type.Literal(3, { default: 3 }),
  }),
})
type ClipConfig = Static<typeof ClipConfig>

/** OpenAI's CLIP (arXiv:2103.00020). */
export function openClip(checkpointDir: string, checkpoint: Checkpoint): Towers {
  const path = join(checkpointDir, 'config.json')
  const config = readCheckpointJson(path, ClipConfig)
  checkSizes(path, config)
  const tokenizer = new Tokenizer(readCheckpointJson(join(checkpointDir, tokenizerFile), Type.Object({})), {})
  return {
    imageSide: config.vision_config.image_size,
    embeddingWidth: config.projection_dim,
    temperature: temperatureOf(checkpoint),
    imageTower: (scope, pixels) => imageTower(scope, checkpoint, config, pixels),
    tokenize: (text) => throughEndToken(tokenizer.encode(text).ids, config.text_config, text),
    textTower: (scope, ids) => textTower(scope, checkpoint, config, ids),
  }
}

function imageTower(scope: Scope, checkpoint: Checkpoint, config: ClipConfig, pixels: Value): Value {
  const name = 'vision_model'
  const { vision_config: vision } = config
  const { hidden_size: width, patch_size: patch, image_size: side } = vision
  const filters = `${name}.embeddings.patch_embedding`
  const rows = patches(scope, checkpoint, { name: filters, pixels, width, patch, bias: false })

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
  const spelled = `${name}.pre_layrnorm`
  const normed = norm(scope.at('pre_layrnorm'), checkpoint, { name: spelled, config: vision, x: embedded })
  const hidden = transformer(scope, checkpoint, { name, config: vision, hidden: normed })
  return projected(scope.at('head'), checkpoint, {
    name: `${name}.post_layernorm`,
    projection: 'visual_projection',
    config: vision,
    embeddingWidth: config.projection_dim,
    states: scope.op('Gather', [hidden, scope.int64(0)], { axis: 1 }),
  })
}

/** Attention is causal and the state at the end token, the last one, counts: whatever follows would change nothing. */
function textTower(scope: Scope, checkpoint: Checkpoint, config: ClipConfig, ids: Value): Value {
  const name = 'text_model'
  const { text_config: text } = config
  const { hidden_size: width, vocab_size: vocabulary, max_position_embeddings: maxTime } = text

  const table = (part: string, dims: number[]) =>
    scope.weight(part, dims, checkpoint.read(`${name}.embeddings.${part}.weight`, dims))
  const time = scope.op('Shape', [ids], { start: 1, end: 2 })
  const first = (value: Value, axes: number[]) =>
    scope.op('Slice', [
      value,
      scope.int64(axes.map(() => 0)),
      axes.length === 1 ? time : scope.op('Concat', [time, time], { axis: 0 }),
      scope.int64(axes),
    ])
  const embedded = scope.op('Add', [
    scope.op('Gather', [table('token_embedding', [vocabulary, width]), ids]),
    first(table('position_embedding', [maxTime, width]), [0]),
  ])

  const mask = first(scope.weight('causal_mask', [maxTime, maxTime], causalMask(maxTime)), [0, 1])
  const hidden = transformer(scope, checkpoint, { name, config: text, hidden: embedded, mask })
  return projected(scope.at('head'), checkpoint, {
    name: `${name}.final_layer_norm`,
    projection: 'text_projection',
    config: text,
    embeddingWidth: config.projection_dim,
    states: scope.op('Gather', [hidden, scope.int64(-1)], { axis: 1 }),
  })
}

/** [time, time]: nothing is added where a token looks back or at itself; what lies ahead of it weighs nothing. */
function causalMask(time: number): Float32Array {
  return Float32Array.from({ length: time * time }, (_, i) => (i % time > Math.floor(i / time) ? -1e9 : 0))
}

/**
 * Cuts the ids after the token whose state is the text's embedding: the first end token. Checkpoints whose
 * configuration says 2, which was never right, mean the largest id.
 */
function throughEndToken(ids: number[], config: ClipConfig['text_config'], text: string): number[] {
  const { eos_token_id: end, max_position_embeddings: max } = config
  const at = ids.indexOf(end === 2 ? Math.max(...ids) : end)
  if (at === -1) throw new CheckpointError(`"${text}" becomes ${ids} without the end token ${end}`)
  if (at >= max) throw new CheckpointError(`"${text}" becomes ${at + 1} tokens, the checkpoint takes at most ${max}`)
  return ids.slice(0, at + 1)
}

/** The end of both towers: states [batch, width] to embeddings [batch, embeddingWidth] of length 1. */
function projected(
  scope: Scope,
  checkpoint: Checkpoint,
  options: { name: string; projection: string; config: TowerConfig; embeddingWidth: number; states: Value },
): Value {
  const { name, projection, config, embeddingWidth, states } = options
  const { hidden_size: width } = config
  const normed = norm(scope.at('norm'), checkpoint, { name, config, x: states })
  const weight = checkpoint.read(`${projection}.weight`, [embeddingWidth, width])
  return unitLength(scope, linear(scope.at('projection'), normed, { weight, inputs: width, outputs: embeddingWidth }))
}
