import { layerNorm, linear } from '../layers.ts'
import type { Scope, Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import type { DecoderConfig } from './config.ts'

/** A stretch of time that is attended to, each [rows, heads, time, headWidth]. */
interface Stretch {
  keys: Value
  values: Value
}

/** What a step attends to. */
export interface Times {
  /** Of the past, of this chunk, this step included, and of the filler if any: [2 or 3]. */
  lengths: Value
  /** Scores that weigh nothing, [rows, heads, 1, filler]. */
  filler?: Value
}

/**
 * One layer of the decoder, for one step of the loop: self-attention over the past and over the steps of this chunk,
 * cross-attention, feed-forward.
 */
export function createDecoderLayer(options: {
  checkpoint: Checkpoint
  config: DecoderConfig
  layer: number
  /** How many rows have cross-attention and how many, after these, do not, [2]; all have it where it is not given. */
  split: Value | undefined
  past: Stretch
  cross: Stretch & { bias: Value }
}) {
  const { checkpoint, config, layer, split, past, cross } = options
  const { num_attention_heads: heads, hidden_size: width, ffn_dim: feedForward } = config
  const headWidth = width / heads
  const queryScale = headWidth ** -0.5
  const prefix = `decoder.model.decoder.layers.${layer}`

  const read = (name: string, inputs = width, outputs = width) =>
    checkpoint.read(`${prefix}.${name}.weight`, [outputs, inputs])
  const norm = (scope: Scope, x: Value, name: string) =>
    layerNorm(scope.at(name), x, { checkpoint, name: `${prefix}.${name}`, width, epsilon: 1e-5 })
  const square = (scope: Scope, x: Value, weight: Float32Array) =>
    linear(scope, x, { weight, inputs: width, outputs: width })

  function selfAttention(scope: Scope, x: Value, tail: Stretch, { filler, lengths }: Times) {
    const weight = new Float32Array(3 * width * width)
    // The product of query and key is scaled through the query's weights.
    weight.set(read('self_attn.q_proj').map((value) => value * queryScale))
    weight.set(read('self_attn.k_proj'), width * width)
    weight.set(read('self_attn.v_proj'), 2 * width * width)
    const projected = linear(scope.at('qkv_proj'), x, { weight, inputs: width, outputs: 3 * width })
    const [query, key, value] = scope.ops(
      'Split',
      [scope.op('Reshape', [projected, scope.int64([-1, 3 * heads, 1, headWidth])])],
      3,
      { axis: 1, num_outputs: 3 },
    )
    const keys = scope.op('Concat', [tail.keys, key!], { axis: 2 })
    const values = scope.op('Concat', [tail.values, value!], { axis: 2 })
    const scores = [past.keys, keys].map((stretch) =>
      scope.op('com.microsoft.FusedMatMul', [query!, stretch], { transB: 1 }),
    )
    if (filler) scores.push(filler)
    const weights = scope.op('Softmax', [scope.op('Concat', scores, { axis: 3 })], { axis: -1 })
    const [pastWeights, tailWeights] = scope.ops('Split', [weights, lengths], scores.length, { axis: 3 })
    const mixed = scope.op('Add', [
      scope.op('MatMul', [pastWeights!, past.values]),
      scope.op('MatMul', [tailWeights!, values]),
    ])
    const joined = scope.op('Reshape', [mixed, scope.int64([-1, width])])
    return { x: square(scope.at('out_proj'), joined, read('self_attn.out_proj')), keys, values }
  }

  function crossAttention(scope: Scope, x: Value): Value {
    const scaled = read('encoder_attn.q_proj').map((value) => value * queryScale)
    const query = scope.op('Reshape', [square(scope.at('q_proj'), x, scaled), scope.int64([-1, heads, 1, headWidth])])
    const scores = scope.op('com.microsoft.FusedMatMul', [query, cross.keys], { transB: 1 })
    const weights = scope.op('Softmax', [scope.op('Add', [scores, cross.bias])], { axis: -1 })
    const joined = scope.op('Reshape', [scope.op('MatMul', [weights, cross.values]), scope.int64([-1, width])])
    return square(scope.at('out_proj'), joined, read('encoder_attn.out_proj'))
  }

  return (scope: Scope, input: Value, tail: Stretch, times: Times) => {
    const normed = norm(scope, input, 'self_attn_layer_norm')
    const attended = selfAttention(scope.at('self_attn'), normed, tail, times)
    let x = scope.op('Add', [input, attended.x])

    const addCross = (rows: Value) =>
      scope.op('Add', [rows, crossAttention(scope.at('encoder_attn'), norm(scope, rows, 'encoder_attn_layer_norm'))])
    if (split) {
      // The keys and values of no text are zero, and there is no bias: unconditional rows would have zero added.
      const [conditional, unconditional] = scope.ops('Split', [x, split], 2, { axis: 0 })
      x = scope.op('Concat', [addCross(conditional!), unconditional!], { axis: 0 })
    } else {
      x = addCross(x)
    }

    const fc1 = { weight: read('fc1', width, feedForward), inputs: width, outputs: feedForward }
    const wide = linear(scope.at('fc1'), norm(scope, x, 'final_layer_norm'), fc1)
    const fc2 = { weight: read('fc2', feedForward, width), inputs: feedForward, outputs: width }
    const narrow = linear(scope.at('fc2'), scope.op('Gelu', [wide]), fc2)
    return { x: scope.op('Add', [x, narrow]), keys: attended.keys, values: attended.values }
  }
}
