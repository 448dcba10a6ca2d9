import { asReal, masked } from '../layers.ts'
import type { Scope, Value } from '../onnx-graph.ts'
import type { Times } from './decoder-layer.ts'

/**
 * In float16, ONNX Runtime's softmax adds up a row in an order that depends on where it begins in memory, and so on the
 * rows before it: filled up, all rows begin alike.
 */
export function timesOf(
  scope: Scope,
  { pastLength, tailLength, rows, heads }: { pastLength: Value; tailLength: Value; rows: Value; heads: number },
): Times {
  if (scope.real === 'float32') return { lengths: scope.op('Concat', [pastLength, tailLength], { axis: 0 }) }
  const length = scope.op('Add', [pastLength, tailLength])
  const missing = scope.op('Mod', [scope.op('Neg', [length]), scope.int64([32])])
  const dims = scope.op('Concat', [rows, scope.int64([heads, 1]), missing], { axis: 0 })
  return {
    lengths: scope.op('Concat', [pastLength, tailLength, missing], { axis: 0 }),
    filler: asReal(scope, scope.op('Expand', [scope.float32(masked), dims])),
  }
}

/**
 * Quantised products take rows in pairs, and one that is left over in an order of its own, so that a row would depend on
 * how many there are: every product gets an even number. In guided graphs, whose rows are even, cross-attention's
 * conditional rows take an unconditional one along where they are odd: text of zeros, which adds zero to it.
 * @param codes [batch, codebooks]
 */
export function pairRows(scope: Scope, codes: Value, guided: boolean) {
  const batch = scope.op('Shape', [codes], { start: 0, end: 1 })
  const odd = scope.op('Mod', [batch, scope.int64([2])])
  const missing = scope.op('Concat', [scope.int64([0]), odd], { axis: 0 })
  const split = scope.op('Concat', [scope.op('Add', [batch, odd]), scope.op('Sub', [batch, odd])], { axis: 0 })
  return {
    /** Adds zeros along `axis` to an even number. */
    pad: (place: Scope, x: Value, axis: number) => place.op('Pad', [x, missing, '', scope.int64([axis])]),
    /** The rows of the batch alone. */
    cut: (place: Scope, x: Value) => place.op('Slice', [x, scope.int64([0]), batch, scope.int64([0])]),
    /** Rows with cross-attention and rows without, [2]; undefined where all have it. */
    split: guided ? split : undefined,
  }
}
