import { layerNorm, linear } from '../layers.ts'
import type { Scope, Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import type { TowerConfig } from './config.ts'

/**
 * The layers that both of CLIP's towers have: pre-norm self-attention and a feed-forward part, each added to what went
 * in. `hidden` and the result are [batch, time, width]; `mask` [time, time] is added to the attention scores.
 */
export function transformer(
  scope: Scope,
  checkpoint: Checkpoint,
  { name, config, hidden, mask }: { name: string; config: TowerConfig; hidden: Value; mask?: Value },
): Value {
  const { hidden_size: width, intermediate_size: wide, num_attention_heads: heads } = config
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = `${name}.encoder.layers.${i}`
    const at = scope.at(`layers.${i}`)
    const norm = (part: string, x: Value) =>
      layerNorm(at.at(part), x, { checkpoint, name: `${layer}.${part}`, width, epsilon: config.layer_norm_eps })
    const project = (part: string, x: Value, inputs: number, outputs: number) =>
      linear(at.at(part), x, {
        weight: checkpoint.read(`${layer}.${part}.weight`, [outputs, inputs]),
        bias: checkpoint.read(`${layer}.${part}.bias`, [outputs]),
        inputs,
        outputs,
      })

    const attended = norm('layer_norm1', hidden)
    const [queries, keys, values] = ['q_proj', 'k_proj', 'v_proj'].map((part) =>
      project(`self_attn.${part}`, attended, width, width),
    )
    const mixed = attention(at.at('self_attn'), { queries: queries!, keys: keys!, values: values!, heads, width, mask })
    hidden = at.op('Add', [hidden, project('self_attn.out_proj', mixed, width, width)])

    const widened = project('mlp.fc1', norm('layer_norm2', hidden), width, wide)
    const activated = config.hidden_act === 'gelu' ? at.op('Gelu', [widened]) : quickGelu(at, widened)
    hidden = at.op('Add', [hidden, project('mlp.fc2', activated, wide, width)])
  }
  return hidden
}

function attention(
  scope: Scope,
  options: { queries: Value; keys: Value; values: Value; heads: number; width: number; mask: Value | undefined },
): Value {
  const { heads, width, mask } = options
  const split = (value: Value, perm: number[]) =>
    scope.op('Transpose', [scope.op('Reshape', [value, scope.int64([0, 0, heads, width / heads])])], { perm })
  const queries = scope.op('Mul', [split(options.queries, [0, 2, 1, 3]), scope.float32((width / heads) ** -0.5)])
  // [batch, heads, time, time]
  const products = scope.op('MatMul', [queries, split(options.keys, [0, 2, 3, 1])])
  const scores = mask === undefined ? products : scope.op('Add', [products, mask])
  const weights = scope.op('Softmax', [scores], { axis: -1 })
  const mixed = scope.op('MatMul', [weights, split(options.values, [0, 2, 1, 3])])
  return scope.op('Reshape', [scope.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), scope.int64([0, 0, width])])
}

/** x * sigmoid(1.702 x), the approximation of GELU that OpenAI's CLIP was trained with. */
function quickGelu(scope: Scope, x: Value): Value {
  return scope.op('Mul', [x, scope.op('Sigmoid', [scope.op('Mul', [x, scope.float32(1.702)])])])
}

/** The end of both towers: states [batch, width] to embeddings [batch, projection] of length 1. */
export function embeddingHead(
  scope: Scope,
  checkpoint: Checkpoint,
  {
    norm,
    projection,
    config,
    embeddingWidth,
    states,
  }: {
    norm: string
    projection: string
    config: TowerConfig
    embeddingWidth: number
    states: Value
  },
): Value {
  const { hidden_size: width, layer_norm_eps: epsilon } = config
  const normed = layerNorm(scope.at('norm'), states, { checkpoint, name: norm, width, epsilon })
  const weight = checkpoint.read(`${projection}.weight`, [embeddingWidth, width])
  const embeddings = linear(scope.at('projection'), normed, { weight, inputs: width, outputs: embeddingWidth })
  return scope.op('Div', [embeddings, scope.op('ReduceL2', [embeddings, scope.int64([-1])], { keepdims: 1 })])
}
