import { asFloat32, asReal, layerNorm, linear } from '../layers.ts'
import type { Scope, Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import type { TowerConfig } from './tower-config.ts'

/**
 * The layers of a tower: pre-norm self-attention and a feed-forward part, each added to what went in. `hidden` and the
 * result are [batch, time, width]; `mask` [time, time] is added to the attention scores.
 */
export function transformer(
  scope: Scope,
  checkpoint: Checkpoint,
  { name, config, hidden, mask }: { name: string; config: TowerConfig; hidden: Value; mask?: Value },
): Value {
  const { hidden_size: width, num_attention_heads: heads } = config
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = `${name}.encoder.layers.${i}`
    const at = scope.at(`layers.${i}`)
    const normed = (part: string, x: Value) => norm(at.at(part), checkpoint, { name: `${layer}.${part}`, config, x })
    const attended = normed('layer_norm1', hidden)
    const project = (part: string, x: Value) =>
      dense(at.at(`self_attn.${part}`), checkpoint, { name: `${layer}.self_attn.${part}`, x, from: width, to: width })
    const [queries, keys, values] = ['q_proj', 'k_proj', 'v_proj'].map((part) => project(part, attended))
    const mixed = attention(at.at('self_attn'), { queries: queries!, keys: keys!, values: values!, heads, width, mask })
    hidden = at.op('Add', [hidden, project('out_proj', mixed)])
    const x = normed('layer_norm2', hidden)
    hidden = at.op('Add', [hidden, feedForward(at.at('mlp'), checkpoint, { name: `${layer}.mlp`, config, x })])
  }
  return hidden
}

/** softmax(queries keys^T / sqrt(head width)) values, all [batch, time, width], head by head. */
export function attention(
  scope: Scope,
  options: { queries: Value; keys: Value; values: Value; heads: number; width: number; mask?: Value | undefined },
): Value {
  const { heads, width, mask } = options
  const split = (value: Value, perm: number[]) =>
    scope.op('Transpose', [scope.op('Reshape', [value, scope.int64([0, 0, heads, width / heads])])], { perm })
  const queries = scope.op('Mul', [
    split(options.queries, [0, 2, 1, 3]),
    asReal(scope, scope.float32((width / heads) ** -0.5)),
  ])
  // [batch, heads, time, time]
  const products = scope.op('MatMul', [queries, split(options.keys, [0, 2, 3, 1])])
  const scores = mask === undefined ? products : scope.op('Add', [products, mask])
  const weights = scope.op('Softmax', [scores], { axis: -1 })
  const mixed = scope.op('MatMul', [weights, split(options.values, [0, 2, 1, 3])])
  return scope.op('Reshape', [scope.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), scope.int64([0, 0, width])])
}

/** fc1, the activation, fc2. */
export function feedForward(
  scope: Scope,
  checkpoint: Checkpoint,
  { name, config, x }: { name: string; config: TowerConfig; x: Value },
): Value {
  const { hidden_size: width, intermediate_size: wide } = config
  const widened = dense(scope.at('fc1'), checkpoint, { name: `${name}.fc1`, x, from: width, to: wide })
  const activated = activate(scope, config.hidden_act, widened)
  return dense(scope.at('fc2'), checkpoint, { name: `${name}.fc2`, x: activated, from: wide, to: width })
}

function activate(scope: Scope, activation: TowerConfig['hidden_act'], x: Value): Value {
  if (activation === 'gelu') return scope.op('Gelu', [x])
  if (activation === 'gelu_pytorch_tanh') return scope.op('Gelu', [x], { approximate: 'tanh' })
  // x * sigmoid(1.702 x), the approximation that OpenAI's CLIP was trained with.
  return scope.op('Mul', [x, scope.op('Sigmoid', [scope.op('Mul', [x, asReal(scope, scope.float32(1.702))])])])
}

/** The checkpoint's linear layer `name`, with its bias. */
export function dense(
  scope: Scope,
  checkpoint: Checkpoint,
  { name, x, from, to }: { name: string; x: Value; from: number; to: number },
): Value {
  return linear(scope, x, {
    weight: checkpoint.read(`${name}.weight`, [to, from]),
    bias: checkpoint.read(`${name}.bias`, [to]),
    inputs: from,
    outputs: to,
  })
}

export function norm(
  scope: Scope,
  checkpoint: Checkpoint,
  { name, config, x }: { name: string; config: TowerConfig; x: Value },
): Value {
  return layerNorm(scope, x, { checkpoint, name, width: config.hidden_size, epsilon: config.layer_norm_eps })
}

/** Pixel values [batch, 3, side, side] to patches [batch, (side / patch)^2, width], row by row. */
export function patches(
  scope: Scope,
  checkpoint: Checkpoint,
  { name, pixels, width, patch, bias }: { name: string; pixels: Value; width: number; patch: number; bias: boolean },
): Value {
  const dims = [width, 3, patch, patch]
  const inputs = [asReal(scope, pixels), scope.weight('patch_embedding', dims, checkpoint.read(`${name}.weight`, dims))]
  if (bias) inputs.push(scope.weight('patch_embedding.bias', [width], checkpoint.read(`${name}.bias`, [width])))
  const grid = scope.op('Conv', inputs, { kernel_shape: [patch, patch], strides: [patch, patch] })
  return scope.op('Transpose', [scope.op('Reshape', [grid, scope.int64([0, width, -1])])], { perm: [0, 2, 1] })
}

/** Scales the rows of x [batch, width] to length 1, in float32. */
export function unitLength(scope: Scope, x: Value): Value {
  const rows = asFloat32(scope, x)
  return scope.op('Div', [rows, scope.op('ReduceL2', [rows, scope.int64([-1])], { keepdims: 1 })])
}
