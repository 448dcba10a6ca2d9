import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import Type, { type Static } from 'typebox'
import { tokenizerFile } from '#shared/model/manifest.ts'
import { CheckpointError } from '../checkpoint-error.ts'
import { readCheckpointJson } from '../checkpoint-json.ts'
import { linear } from '../layers.ts'
import type { Scope, Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import { checkSizes, count, temperatureOf, tower } from './tower-config.ts'
import type { Towers } from './towers.ts'
import { attention, dense, feedForward, norm, patches, transformer, unitLength } from './transformer.ts'

const common = { width: 768, feedForward: 3072, heads: 12, activation: 'gelu_pytorch_tanh', epsilon: 1e-6 } as const

const SiglipConfig = Type.Object({
  text_config: Type.Object({
    ...tower(common),
    vocab_size: count(32000),
    max_position_embeddings: count(64),
    /** Width of the embeddings; the text tower's own when left out. */
    projection_size: Type.Optional(Type.Integer({ minimum: 1 })),
  }),
  vision_config: Type.Object({
    ...tower(common),
    image_size: count(224),
    patch_size: count(16),
    num_channels: Type.Literal(3, { default: 3 }),
    vision_use_head: Type.Literal(true, { default: true }),
  }),
})
type SiglipConfig = Static<typeof SiglipConfig>

const TokenizerConfig = Type.Object({
  pad_token: Type.Union([Type.String(), Type.Object({ content: Type.String() })]),
  padding_side: Type.Literal('right', { default: 'right' }),
})

/**
 * Google's SigLIP and SigLIP 2 for pictures of one size (arXiv:2303.15343, arXiv:2502.14786). Their sigmoids, which
 * judge each label by itself, are left aside: probabilities over a set of labels are a softmax here.
 */
export function openSiglip(checkpointDir: string, checkpoint: Checkpoint): Towers {
  const path = join(checkpointDir, 'config.json')
  const config = readCheckpointJson(path, SiglipConfig)
  checkSizes(path, config)
  const embeddingWidth = config.vision_config.hidden_size
  const { projection_size: projection = config.text_config.hidden_size } = config.text_config
  if (projection !== embeddingWidth) {
    throw new CheckpointError(
      `${path}: text_config.projection_size is ${projection}, expected the image tower's width ${embeddingWidth}`,
    )
  }
  return {
    imageSide: config.vision_config.image_size,
    embeddingWidth,
    temperature: temperatureOf(checkpoint),
    imageTower: (scope, pixels) => imageTower(scope, checkpoint, config.vision_config, pixels),
    tokenize: openTokenizer(checkpointDir, config.text_config.max_position_embeddings),
    textTower: (scope, ids) => textTower(scope, checkpoint, config, ids),
  }
}

function imageTower(scope: Scope, checkpoint: Checkpoint, config: SiglipConfig['vision_config'], pixels: Value): Value {
  const name = 'vision_model'
  const { hidden_size: width, patch_size: patch, image_size: side } = config
  const filters = `${name}.embeddings.patch_embedding`
  const rows = patches(scope, checkpoint, { name: filters, pixels, width, patch, bias: true })
  const positionDims = [(side / patch) ** 2, width]
  const positions = checkpoint.read(`${name}.embeddings.position_embedding.weight`, positionDims)
  const embedded = scope.op('Add', [rows, scope.weight('position_embedding', positionDims, positions)])
  const states = transformer(scope, checkpoint, { name, config, hidden: embedded })
  const x = norm(scope.at('post_layernorm'), checkpoint, { name: `${name}.post_layernorm`, config, x: states })
  return unitLength(scope, attentionPooling(scope.at('head'), checkpoint, { name: `${name}.head`, config, x }))
}

/** x [batch, patches, width] to [batch, width]: what a learned probe finds among the patches, then a feed-forward part. */
function attentionPooling(
  scope: Scope,
  checkpoint: Checkpoint,
  { name, config, x }: { name: string; config: SiglipConfig['vision_config']; x: Value },
): Value {
  const { hidden_size: width, num_attention_heads: heads } = config
  // torch.nn.MultiheadAttention keeps the projections of queries, keys and values in one.
  const weights = checkpoint.read(`${name}.attention.in_proj_weight`, [3 * width, width])
  const biases = checkpoint.read(`${name}.attention.in_proj_bias`, [3 * width])
  const project = (part: number, input: Value) =>
    linear(scope.at(['queries', 'keys', 'values'][part]!), input, {
      weight: weights.subarray(part * width ** 2, (part + 1) * width ** 2),
      bias: biases.subarray(part * width, (part + 1) * width),
      inputs: width,
      outputs: width,
    })
  const probe = scope.weight('probe', [1, 1, width], checkpoint.read(`${name}.probe`, [1, 1, width]))
  const mixed = attention(scope, {
    queries: project(0, probe),
    keys: project(1, x),
    values: project(2, x),
    heads,
    width,
  })
  const out = { name: `${name}.attention.out_proj`, x: mixed, from: width, to: width }
  const found = dense(scope.at('out_proj'), checkpoint, out)
  const normed = norm(scope.at('layernorm'), checkpoint, { name: `${name}.layernorm`, config, x: found })
  const pooled = scope.op('Add', [
    found,
    feedForward(scope.at('mlp'), checkpoint, { name: `${name}.mlp`, config, x: normed }),
  ])
  return scope.op('Squeeze', [pooled, scope.int64([1])])
}

/** Every token sees every other, padding too; the state at the last place counts, whatever stands there. */
function textTower(
  scope: Scope,
  checkpoint: Checkpoint,
  { text_config: config, vision_config }: SiglipConfig,
  ids: Value,
) {
  const name = 'text_model'
  const { hidden_size: width, vocab_size: vocabulary, max_position_embeddings: time } = config
  const table = (part: string, dims: number[]) =>
    scope.weight(part, dims, checkpoint.read(`${name}.embeddings.${part}.weight`, dims))
  const embedded = scope.op('Add', [
    scope.op('Gather', [table('token_embedding', [vocabulary, width]), ids]),
    table('position_embedding', [time, width]),
  ])
  const hidden = transformer(scope, checkpoint, { name, config, hidden: embedded })
  const last = scope.op('Gather', [hidden, scope.int64(-1)], { axis: 1 })
  const x = norm(scope.at('final_layer_norm'), checkpoint, { name: `${name}.final_layer_norm`, config, x: last })
  const head = { name: `${name}.head`, x, from: width, to: vision_config.hidden_size }
  return unitLength(scope, dense(scope.at('head'), checkpoint, head))
}

/** Texts in lower case, filled up to `time` tokens, as both generations were trained. */
function openTokenizer(checkpointDir: string, time: number): Towers['tokenize'] {
  const tokenizer = new Tokenizer(readCheckpointJson(join(checkpointDir, tokenizerFile), Type.Object({})), {})
  const path = join(checkpointDir, 'tokenizer_config.json')
  const { pad_token: pad } = readCheckpointJson(path, TokenizerConfig)
  const padToken = typeof pad === 'string' ? pad : pad.content
  const padId = tokenizer.token_to_id(padToken)
  if (padId === undefined) throw new CheckpointError(`${path}: pad_token ${padToken} is not in ${tokenizerFile}`)
  return (text) => {
    const { ids } = tokenizer.encode(text.toLowerCase())
    if (ids.length > time) {
      throw new CheckpointError(`"${text}" becomes ${ids.length} tokens, the checkpoint takes at most ${time}`)
    }
    return [...ids, ...Array<number>(time - ids.length).fill(padId)]
  }
}
