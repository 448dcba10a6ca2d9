import { layerNorm, linear } from '../layers.ts'
import type { Scope, Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import type { DecoderConfig } from './config.ts'

/** A stretch of time that is attended to: [rows, heads, headWidth, time] and [rows, heads, time, headWidth]. */
interface Stretch {
  keysTransposed: Value
  values: Value
}

/**
 * One layer of the decoder, for one step of the loop: self-attention over the past and over the steps of this chunk,
 * cross-attention, feed-forward.
 */
export function createDecoderLayer(options: {
  checkpoint: Checkpoint
  config: DecoderConfig
  layer: number
  guided: boolean
  past: Stretch
  cross: Stretch & { bias: Value }
}) {
  const { checkpoint, config, layer, guided, past, cross } = options
  const { num_attention_heads: heads, hidden_size: width, ffn_dim: feedForward } = config
  const headWidth = width / heads
  const prefix = `decoder.model.decoder.layers.${layer}`

  const norm = (scope: Scope, x: Value, name: string) =>
    layerNorm(scope.at(name), x, { checkpoint, name: `${prefix}.${name}`, width, epsilon: 1e-5 })
  const project = (scope: Scope, x: Value, name: string, inputs = width, outputs = width) => {
    const weight = checkpoint.read(`${prefix}.${name}.weight`, [outputs, inputs])
    return linear(scope.at(name.split('.').at(-1)!), x, { weight, inputs, outputs })
  }
  /** [rows, width] to [rows, heads, 1, headWidth] */
  const toHeads = (scope: Scope, x: Value) => scope.op('Reshape', [x, scope.int64([-1, heads, 1, headWidth])])
  const fromHeads = (scope: Scope, x: Value) => scope.op('Reshape', [x, scope.int64([-1, width])])
  const scaledQuery = (scope: Scope, x: Value, name: string) =>
    scope.op('Mul', [toHeads(scope, project(scope, x, name)), scope.float32(headWidth ** -0.5)])

  function selfAttention(scope: Scope, x: Value, tail: { keys: Value; values: Value }) {
    const query = scaledQuery(scope, x, 'self_attn.q_proj')
    const append = (before: Value, name: string) =>
      scope.op('Concat', [before, toHeads(scope, project(scope, x, `self_attn.${name}`))], { axis: 2 })
    const keys = append(tail.keys, 'k_proj')
    const values = append(tail.values, 'v_proj')
    const ofPast = scope.op('MatMul', [query, past.keysTransposed])
    const ofTail = scope.op('MatMul', [query, scope.op('Transpose', [keys], { perm: [0, 1, 3, 2] })])
    const weights = scope.op('Softmax', [scope.op('Concat', [ofPast, ofTail], { axis: -1 })], { axis: -1 })
    const lengths = scope.op(
      'Concat',
      [ofPast, ofTail].map((scores) => scope.op('Shape', [scores], { start: 3, end: 4 })),
      { axis: 0 },
    )
    const [pastWeights, tailWeights] = scope.ops('Split', [weights, lengths], 2, { axis: 3 })
    const mixed = scope.op('Add', [
      scope.op('MatMul', [pastWeights!, past.values]),
      scope.op('MatMul', [tailWeights!, values]),
    ])
    return { x: project(scope, fromHeads(scope, mixed), 'self_attn.out_proj'), keys, values }
  }

  function crossAttention(scope: Scope, x: Value): Value {
    const query = scaledQuery(scope, x, 'encoder_attn.q_proj')
    const scores = scope.op('Add', [scope.op('MatMul', [query, cross.keysTransposed]), cross.bias])
    const mixed = scope.op('MatMul', [scope.op('Softmax', [scores], { axis: -1 }), cross.values])
    return project(scope, fromHeads(scope, mixed), 'encoder_attn.out_proj')
  }

  return (scope: Scope, input: Value, tail: { keys: Value; values: Value }) => {
    const attended = selfAttention(scope.at('self_attn'), norm(scope, input, 'self_attn_layer_norm'), tail)
    let x = scope.op('Add', [input, attended.x])

    const addCross = (rows: Value) =>
      scope.op('Add', [rows, crossAttention(scope.at('encoder_attn'), norm(scope, rows, 'encoder_attn_layer_norm'))])
    if (guided) {
      // The keys and values of no text are zero, and there is no bias: unconditional rows would have zero added.
      const [conditional, unconditional] = scope.ops('Split', [x], 2, { axis: 0, num_outputs: 2 })
      x = scope.op('Concat', [addCross(conditional!), unconditional!], { axis: 0 })
    } else {
      x = addCross(x)
    }

    const wide = project(scope, norm(scope, x, 'final_layer_norm'), 'fc1', width, feedForward)
    const narrow = project(scope, scope.op('Gelu', [wide]), 'fc2', feedForward, width)
    return { x: scope.op('Add', [x, narrow]), keys: attended.keys, values: attended.values }
  }
}
