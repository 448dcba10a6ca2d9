import type { Scope, Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import type { TextConfig } from './config.ts'

/** @returns a bias for every distance from query to key, [1, heads, text, text] */
export function relativePositionBias(
  scope: Scope,
  { checkpoint, config, ids }: { checkpoint: Checkpoint; config: TextConfig; ids: Value },
): Value {
  const { num_heads: heads, relative_attention_num_buckets: buckets, relative_attention_max_distance: max } = config
  const name = 'text_encoder.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight'
  const bias = checkpoint.read(name, [buckets, heads])
  // One row for each distance from -max to max: all that are farther share the bucket of max.
  const table = Float32Array.from({ length: (2 * max + 1) * heads }, (_, i) => {
    const distance = Math.floor(i / heads) - max
    return bias[distanceBucket(distance, buckets, max) * heads + (i % heads)]!
  })
  const length = scope.op('Squeeze', [scope.op('Shape', [ids], { start: 1, end: 2 })])
  const positions = scope.op('Range', [scope.int64(0), length, scope.int64(1)])
  const distances = scope.op('Sub', [
    scope.op('Unsqueeze', [positions, scope.int64([0])]),
    scope.op('Unsqueeze', [positions, scope.int64([1])]),
  ])
  const rows = scope.op('Add', [scope.op('Clip', [distances, scope.int64(-max), scope.int64(max)]), scope.int64(max)])
  const found = scope.op('Gather', [scope.weight('table', [2 * max + 1, heads], table), rows])
  return scope.op('Unsqueeze', [scope.op('Transpose', [found], { perm: [2, 0, 1] }), scope.int64([0])])
}

/**
 * T5's bucket of a distance from query to key, in float32 as the reference computes it: half of the buckets for either
 * direction, of these one for each short distance and the others on a logarithmic scale up to `max`.
 */
function distanceBucket(distance: number, buckets: number, max: number): number {
  const half = buckets / 2
  const exact = half / 2
  const direction = distance > 0 ? half : 0
  const size = Math.abs(distance)
  if (size < exact) return direction + size
  const { fround } = Math
  const ratio = fround(fround(Math.log(fround(size / exact))) / fround(Math.log(max / exact)))
  return direction + Math.min(exact + Math.trunc(fround(ratio * (half - exact))), half - 1)
}
