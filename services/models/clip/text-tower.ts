import type { Scope, Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import type { ClipConfig } from './config.ts'
import { embeddingHead, transformer } from './transformer.ts'

/**
 * CLIP's text tower: token ids [batch, time] int64, each row up to and with its end token, to embeddings
 * [batch, projection] of length 1. Attention is causal and the state at the end token counts, so that whatever
 * follows it would change nothing.
 */
export function textTower(scope: Scope, checkpoint: Checkpoint, config: ClipConfig, ids: Value): Value {
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
  return embeddingHead(scope.at('head'), checkpoint, {
    norm: `${name}.final_layer_norm`,
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
