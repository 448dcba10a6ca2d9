import type { Tensor } from '../../services/consumer/onnx/graph.ts'

/** Zeros unless there are values. */
export function float32(dims: number[], values?: number[]): Tensor {
  const size = dims.reduce((product, dim) => product * dim, 1)
  return { type: 'float32', data: values ? Float32Array.from(values) : new Float32Array(size), dims }
}

export function int64(values: number[], dims: number[]): Tensor {
  return { type: 'int64', data: BigInt64Array.from(values, BigInt), dims }
}
