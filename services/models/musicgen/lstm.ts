import type { Scope, Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'

/** torch keeps the gates as input, forget, cell, output; ONNX as input, output, forget, cell. */
const torchGates = [0, 3, 1, 2]

/**
 * torch.nn.LSTM of `layers` layers, as wide as its input.
 * @param x [time, batch, width]
 * @returns [time, batch, width]
 */
export function lstm(
  scope: Scope,
  x: Value,
  { checkpoint, name, layers, width }: { checkpoint: Checkpoint; name: string; layers: number; width: number },
): Value {
  let output = x
  for (let layer = 0; layer < layers; layer++) {
    const place = scope.at(`lstm.${layer}`)
    const read = (part: string, dims: number[]) =>
      reorderGates(checkpoint.read(`${name}.${part}_l${layer}`, [4 * width, ...dims]))
    const bias = new Float32Array(8 * width)
    bias.set(read('bias_ih', []))
    bias.set(read('bias_hh', []), 4 * width)
    const inputs = [
      output,
      place.weight('input', [1, 4 * width, width], read('weight_ih', [width])),
      place.weight('recurrent', [1, 4 * width, width], read('weight_hh', [width])),
      place.weight('bias', [1, 8 * width], bias),
    ]
    // The output has a dimension for directions: [time, 1, batch, width].
    output = place.op('Squeeze', [place.op('LSTM', inputs, { hidden_size: width }), place.int64([1])])
  }
  return output
}

function reorderGates(tensor: Float32Array): Float32Array {
  const size = tensor.length / torchGates.length
  const result = new Float32Array(tensor.length)
  for (const [place, gate] of torchGates.entries()) {
    result.set(tensor.subarray(gate * size, (gate + 1) * size), place * size)
  }
  return result
}
