import { float, type Scope, type Value } from './onnx-graph.ts'
import { quantise } from './quantise.ts'
import type { Checkpoint } from './safetensors.ts'

/** Added to the scores of masked positions: after softmax they weigh exactly nothing. Within the range of float16. */
export const masked = -1e4

/**
 * Weights that share a scale, by bits. Measured at full size: blocks of 128 in 8 bits would lose 9 % less and take 5 % longer;
 * blocks of 64 in 4 bits would lose 9 % less and take 10 % longer (four clips at once longer than 8 bits), of 256 lose 4 % more
 * and take 4 % less.
 */
export const blockSizes = { 8: 256, 4: 128 }

interface Matrix {
  /** [outputs, inputs] */
  weight: Float32Array
  inputs: number
  outputs: number
  /** In models of 4 or 8 bits, where fewer would lose too much. */
  leastBits?: 8 | 32
}

/**
 * x [..., inputs] times the transpose of `weight`, as torch.nn.Linear, plus the bias if any. The one place where the
 * graph's precision decides how a matrix is kept.
 */
export function linear(scope: Scope, x: Value, { bias, ...matrix }: Matrix & { bias?: Float32Array }): Value {
  const product = multiply(scope, x, matrix)
  return bias ? scope.op('Add', [product, scope.weight('bias', [matrix.outputs], bias)]) : product
}

function multiply(scope: Scope, x: Value, { weight, inputs, outputs, leastBits }: Matrix): Value {
  const { precision } = scope
  if (precision === 'fp32' || precision === 'fp16' || leastBits === 32) {
    return scope.op('MatMul', [x, scope.weight('weight', [inputs, outputs], transpose(weight, outputs, inputs))])
  }
  const bits = precision === 'int8' || leastBits === 8 ? 8 : 4
  const blockSize = blockSizes[bits]
  const { packed, scales, blocks } = quantise(weight, { inputs, outputs, bits, blockSize })
  return scope.op(
    'com.microsoft.MatMulNBits',
    [
      x,
      scope.weight('weight', [outputs, blocks, (blockSize * bits) / 8], packed, 'uint8'),
      scope.weight('scales', [outputs, blocks], scales),
    ],
    // Level 4: x is rounded to 8 bits too, block by block, and the products are sums of integers.
    { K: inputs, N: outputs, bits, block_size: blockSize, accuracy_level: 4 },
  )
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
  const absent = scope.op('Sub', [scope.float32(1), scope.cast(mask, 'float32')])
  const bias = scope.op('Unsqueeze', [scope.op('Mul', [absent, scope.float32(masked)]), scope.int64([1, 2])])
  return asReal(scope, bias)
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

/** `value`, which is float32, in the type that the graph calculates in. */
export const asReal = (scope: Scope, value: Value) => (scope.real === 'float32' ? value : scope.cast(value, scope.real))

/** `value`, which is in the type that the graph calculates in, in float32. */
export const asFloat32 = (scope: Scope, value: Value) =>
  scope.real === 'float32' ? value : scope.cast(value, 'float32')
