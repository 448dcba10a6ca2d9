import { basename } from 'node:path'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'

/** A dense tensor in row-major order. */
export type Tensor =
  | { type: 'float32'; data: Float32Array; dims: readonly number[] }
  | { type: 'int64'; data: BigInt64Array; dims: readonly number[] }

/** A loaded ONNX graph. `run` blocks its thread until the graph has run: only the inference process may call it. */
export interface Graph {
  /** Names of all that it gives. */
  outputs: readonly string[]
  /** With all outputs, or those that are `wanted`: the others need not leave the device. */
  run(inputs: Record<string, Tensor>, wanted?: readonly string[]): Promise<Record<string, Tensor>>
  release(): Promise<void>
}

export async function openGraph(path: string, options: { executionProviders: readonly string[] }): Promise<Graph> {
  const session = await InferenceSession.create(path, {
    executionProviders: options.executionProviders,
    graphOptimizationLevel: 'all',
  }).catch((cause) => {
    throw new Error(`${path}: ONNX Runtime cannot load the graph: ${cause.message}`, { cause })
  })
  return {
    outputs: session.outputNames,
    async run(inputs, wanted = session.outputNames) {
      const feeds: Record<string, OrtTensor> = {}
      for (const [name, { type, data, dims }] of Object.entries(inputs)) feeds[name] = new OrtTensor(type, data, dims)
      const outputs: Record<string, Tensor> = {}
      for (const [name, { type, data, dims }] of Object.entries(await session.run(feeds, wanted))) {
        if (type !== 'float32' && type !== 'int64') {
          throw new Error(`${basename(path)}: output ${name} is ${type}, expected float32 or int64`)
        }
        outputs[name] = { type, data, dims } as Tensor
      }
      return outputs
    },
    release: () => session.release(),
  }
}

export function float32(data: Float32Array, dims: readonly number[]): Tensor {
  return { type: 'float32', data, dims }
}

export function int64(data: BigInt64Array | readonly number[], dims: readonly number[]): Tensor {
  return { type: 'int64', data: data instanceof BigInt64Array ? data : BigInt64Array.from(data, BigInt), dims }
}

/** The output of this name; throws when it is missing or of another type. */
export function output<T extends Tensor['type']>(outputs: Record<string, Tensor>, name: string, type: T) {
  const tensor = outputs[name]
  if (tensor?.type !== type) throw new Error(`graph output ${name} is ${tensor?.type ?? 'missing'}, expected ${type}`)
  return tensor as Extract<Tensor, { type: T }>
}
