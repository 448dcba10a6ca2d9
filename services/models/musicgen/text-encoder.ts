import { textEncoder } from '#shared/model/graph.ts'
import type { Precision } from '#shared/model/manifest.ts'
import { linear, maskBias } from '../layers.ts'
import type { ModelFolder } from '../model-folder.ts'
import { createGraph, type Scope, type Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import type { DecoderConfig, TextConfig } from './config.ts'
import { relativePositionBias } from './relative-position.ts'

/**
 * T5's encoder (transformers, models/t5), then what the decoder makes of its states once and for all: the keys and
 * values of every layer's cross-attention (transformers, models/musicgen).
 */
export function writeTextEncoder(
  folder: ModelFolder,
  {
    checkpoint,
    text,
    decoder,
    precision,
  }: { checkpoint: Checkpoint; text: TextConfig; decoder: DecoderConfig; precision: Precision },
): void {
  const graph = createGraph(folder, textEncoder.file, precision)
  const ids = graph.input({ name: textEncoder.inputIds, type: 'int64', dims: ['batch', 'text'] })
  const mask = graph.input({ name: textEncoder.attentionMask, type: 'int64', dims: ['batch', 'text'] })

  const states = encodeText(graph.at('text_encoder'), { checkpoint, config: text, ids, mask })
  const { keys, values } = crossAttention(graph.at('decoder'), { checkpoint, text, decoder, states, mask })

  const { num_hidden_layers: layers, num_attention_heads: heads, hidden_size: width } = decoder
  const dims = [layers, 'batch', heads, 'text', width / heads]
  graph.output({ name: textEncoder.crossKeys, type: 'float32', dims }, keys)
  graph.output({ name: textEncoder.crossValues, type: 'float32', dims }, values)
  graph.output({ name: textEncoder.hiddenStates, type: 'float32', dims: ['batch', 'text', text.d_model] }, states)
  graph.write()
}

/** @returns the last hidden states [batch, text, d_model] */
function encodeText(
  graph: Scope,
  { checkpoint, config, ids, mask }: { checkpoint: Checkpoint; config: TextConfig; ids: Value; mask: Value },
): Value {
  const { d_model: width, d_kv: headWidth, d_ff: feedForward, num_heads: heads, num_layers: layers } = config
  const inner = heads * headWidth

  const rmsNorm = (scope: Scope, x: Value, name: string) => {
    const square = scope.op('ReduceMean', [scope.op('Mul', [x, x]), scope.int64([-1])])
    const root = scope.op('Sqrt', [scope.op('Add', [square, scope.float32(config.layer_norm_epsilon)])])
    const weight = scope.weight('weight', [width], checkpoint.read(`text_encoder.encoder.${name}.weight`, [width]))
    return scope.op('Mul', [scope.op('Div', [x, root]), weight])
  }
  const read = (name: string, inputs: number, outputs: number) => {
    const weight = checkpoint.read(`text_encoder.encoder.${name}.weight`, [outputs, inputs])
    return { weight, inputs, outputs }
  }
  const toHeads = (scope: Scope, x: Value, perm: number[]) =>
    scope.op('Transpose', [scope.op('Reshape', [x, scope.int64([0, 0, heads, headWidth])])], { perm })

  const bias = graph.op('Add', [
    relativePositionBias(graph.at('relative_attention_bias'), { checkpoint, config, ids }),
    maskBias(graph.at('attention_mask'), mask),
  ])
  let x = graph.op('Gather', [
    graph.weight('shared', [config.vocab_size, width], tokenEmbedding(checkpoint, config)),
    ids,
  ])
  for (let layer = 0; layer < layers; layer++) {
    const block = graph.at(`block.${layer}`)
    const name = `block.${layer}.layer`
    const attention = block.at('self_attention')
    const normed = rmsNorm(attention.at('layer_norm'), x, `${name}.0.layer_norm`)
    const [query, key, value] = ['q', 'k', 'v'].map((part) =>
      linear(attention.at(part), normed, read(`${name}.0.SelfAttention.${part}`, width, inner)),
    )
    // [batch, heads, text, headWidth] x [batch, heads, headWidth, text]: T5 does not scale the product.
    const scores = attention.op('MatMul', [
      toHeads(attention, query!, [0, 2, 1, 3]),
      toHeads(attention, key!, [0, 2, 3, 1]),
    ])
    const weights = attention.op('Softmax', [attention.op('Add', [scores, bias])], { axis: -1 })
    const mixed = attention.op('MatMul', [weights, toHeads(attention, value!, [0, 2, 1, 3])])
    const joined = attention.op('Reshape', [
      attention.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }),
      attention.int64([0, 0, inner]),
    ])
    const attended = linear(attention.at('o'), joined, read(`${name}.0.SelfAttention.o`, inner, width))
    x = attention.op('Add', [x, attended])

    const dense = block.at('feed_forward')
    const entered = rmsNorm(dense.at('layer_norm'), x, `${name}.1.layer_norm`)
    const wide = linear(dense.at('wi'), entered, read(`${name}.1.DenseReluDense.wi`, width, feedForward))
    const narrow = linear(dense.at('wo'), dense.op('Relu', [wide]), {
      ...read(`${name}.1.DenseReluDense.wo`, feedForward, width),
      // A few of T5's numbers here are so large that 8 bits beside them lose all others: transformers keeps it so too.
      leastBits: 32,
    })
    x = dense.op('Add', [x, narrow])
  }
  return rmsNorm(graph.at('final_layer_norm'), x, 'final_layer_norm')
}

/** Checkpoints keep the tied embedding under one of its two names. */
function tokenEmbedding(checkpoint: Checkpoint, { vocab_size: tokens, d_model: width }: TextConfig): Float32Array {
  const tied = 'text_encoder.encoder.embed_tokens.weight'
  return checkpoint.read(checkpoint.dims(tied) ? tied : 'text_encoder.shared.weight', [tokens, width])
}

/** @returns keys and values of all layers, each [layers, batch, heads, text, headWidth] */
function crossAttention(
  graph: Scope,
  options: { checkpoint: Checkpoint; text: TextConfig; decoder: DecoderConfig; states: Value; mask: Value },
): { keys: Value; values: Value } {
  const { checkpoint, text, decoder, mask } = options
  const { num_hidden_layers: layers, num_attention_heads: heads, hidden_size: width } = decoder
  let states = options.states
  // transformers has no projection where the widths agree.
  if (text.d_model !== width) {
    states = linear(graph.at('enc_to_dec_proj'), states, {
      weight: checkpoint.read('enc_to_dec_proj.weight', [width, text.d_model]),
      bias: checkpoint.read('enc_to_dec_proj.bias', [width]),
      inputs: text.d_model,
      outputs: width,
    })
  }
  const present = graph.op('Unsqueeze', [graph.op('Cast', [mask], { to: 1 }), graph.int64([2])])
  const encoded = graph.op('Mul', [states, present])
  const ofAllLayers = (part: string) => {
    const perLayer = Array.from({ length: layers }, (_, layer) => {
      const scope = graph.at(`layers.${layer}/encoder_attn/${part}`)
      const weight = checkpoint.read(`decoder.model.decoder.layers.${layer}.encoder_attn.${part}.weight`, [
        width,
        width,
      ])
      const flat = linear(scope, encoded, { weight, inputs: width, outputs: width })
      const split = scope.op('Reshape', [flat, scope.int64([0, 0, heads, width / heads])])
      return scope.op('Unsqueeze', [scope.op('Transpose', [split], { perm: [0, 2, 1, 3] }), scope.int64([0])])
    })
    return graph.op('Concat', perLayer, { axis: 0 })
  }
  return { keys: ofAllLayers('k_proj'), values: ofAllLayers('v_proj') }
}
