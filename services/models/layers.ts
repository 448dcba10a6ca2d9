import { float, type Scope, type Value } from './onnx-graph.ts'
import type { Checkpoint } from './safetensors.ts'

/** Added to the scores of masked positions: after softmax they weigh exactly nothing. */
const masked = -1e9

/** x [..., inputs] times the transpose of `weight` [outputs, inputs], as torch.nn.Linear, plus the bias if any. */
export function linear(
  scope: Scope,
  x: Value,
  { weight, inputs, outputs, bias }: { weight: Float32Array; inputs: number; outputs: number; bias?: Float32Array },
): Value {
  const product = scope.op('MatMul', [x, scope.weight('weight', [inputs, outputs], transpose(weight, outputs, inputs))])
  return bias ? scope.op('Add', [product, scope.weight('bias', [outputs], bias)]) : product
}

/** torch.nn.LayerNorm over the last dimension, with the checkpoint's `name`.weight and `name`.bias. */
export function layerNorm(
  scope: Scope,
  x: Value,
  { checkpoint, name, width, epsilon }: { checkpoint: Checkpoint; name: string; width: number; epsilon: number },
): Value {
  const weight = scope.weight('weight', [width], checkpoint.read(`${name}.weight`, [width]))
  const bias = scope.weight('bias', [width], checkpoint.read(`${name}.bias`, [width]))
  return scope.op('LayerNormalization', [x, weight, bias], { axis: -1, epsilon: float(epsilon) })
}

/** [batch, text] of 1 and 0 to [batch, 1, 1, text] of 0 and `masked`. */
export function maskBias(scope: Scope, mask: Value): Value {
  const absent = scope.op('Sub', [scope.float32(1), scope.op('Cast', [mask], { to: 1 })])
  return scope.op('Unsqueeze', [scope.op('Mul', [absent, scope.float32(masked)]), scope.int64([1, 2])])
}

/** [rows, columns] to [columns, rows], in squares that stay in the processor's cache. */
function transpose(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(matrix.length)
  const side = 32
  for (let top = 0; top < rows; top += side) {
    for (let left = 0; left < columns; left += side) {
      for (let row = top; row < Math.min(top + side, rows); row++) {
        for (let column = left; column < Math.min(left + side, columns); column++) {
          result[column * rows + row] = matrix[row * columns + column]!
        }
      }
    }
  }
  return result
}
