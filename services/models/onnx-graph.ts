import { readFileSync } from 'node:fs'
import protobuf from 'protobufjs'
import type { Precision } from '#shared/model/manifest.ts'
import { CheckpointError } from './checkpoint-error.ts'
import type { ModelFolder, OutputFile } from './model-folder.ts'

const opset = 21
const irVersion = 10
/** ONNX Runtime maps external tensors that begin on a page. */
const pageBytes = 4096

/** TensorProto.DataType */
const dataTypes = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 } as const
export type DataType = keyof typeof dataTypes

/** The name of a value in the graph; '' stands for an optional input that is left out. */
export type Value = string
/** A fixed size, or the name of one known only when the graph runs. */
type Dimension = number | string
export interface Port {
  name: string
  type: DataType
  dims: Dimension[]
}

/** An attribute that is a float even when it looks whole. */
export const float = (value: number) => ({ float: value })
interface Subgraph {
  graph: object
}
/** Numbers are ints: floats are marked by `float`. */
type Attribute = number | number[] | string | { float: number } | Subgraph

/** A place in the graph: the names of the nodes added at it begin with its path. */
export interface Scope {
  /** In which the weights of matrix products are kept. */
  readonly precision: Precision
  /** The type that is calculated in: float16 in graphs of fp16, else float32. */
  readonly real: 'float32' | 'float16'
  at(name: string): Scope
  /** Adds a node with one output. Operators outside the ONNX domain: `com.microsoft.MatMulNBits`. */
  op(type: string, inputs: Value[], attributes?: Record<string, Attribute>): Value
  ops(type: string, inputs: Value[], outputs: number, attributes?: Record<string, Attribute>): Value[]
  /** A constant: a scalar from a number, a vector from an array. */
  int64(value: number | number[]): Value
  float32(value: number | number[]): Value
  /**
   * A tensor of weights, of type `real` unless another is given. Large ones go to the data file, so `data` need not
   * outlive the call.
   */
  weight(name: string, dims: number[], data: ArrayBufferView, type?: DataType): Value
  cast(value: Value, to: DataType): Value
  /** An ONNX Loop. Returns the last carried values, then the stacked ones with the steps as their first dimension. */
  loop(options: LoopOptions): Value[]
}

interface LoopOptions {
  steps: Value
  /** Types of the carried values, in order; `initial` has their values before the first step. */
  carried: Port[]
  initial: Value[]
  /** Types of what each step adds to the stacked results. */
  stacked: Port[]
  /** One step. The values of scopes outside can be read in here. */
  body(scope: Scope, step: Value, carried: Value[]): { carried: Value[]; stacked: Value[] }
}

export interface Graph extends Scope {
  input(port: Port): Value
  output(port: Port, value: Value): void
  /**
   * Writes the graph; nothing can be added after. After the bytes of another model, `onto`, it becomes a part of that
   * model's graph, whose values it can read by name: messages of protobuf that follow each other are one.
   */
  write(onto?: Uint8Array): void
}

interface Block {
  nodes: { output: Value[]; [field: string]: unknown }[]
}

/**
 * Authors one ONNX graph into `folder` as `file`, its large weights beside it in `file`.data while they are added.
 * Node names say where a node comes from: `decoder/layers.3/self_attn/q_proj/MatMul`.
 */
export function createGraph(folder: ModelFolder, file: string, precision: Precision = 'fp32'): Graph {
  const main: Block = { nodes: [] }
  const initializers: object[] = []
  const inputs: object[] = []
  const outputs: object[] = []
  const names = new Set<string>([''])
  const real = precision === 'fp16' ? 'float16' : 'float32'
  const dataFile = `${file}.data`
  let data: OutputFile | undefined

  const unique = (name: string) => {
    let candidate = name
    for (let n = 1; names.has(candidate); n++) candidate = `${name}_${n}`
    names.add(candidate)
    return candidate
  }

  const addInitializer = (name: string, type: DataType, dims: number[], view: ArrayBufferView) => {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    const tensor = { name, dataType: dataTypes[type], dims }
    if (bytes.byteLength < pageBytes) {
      initializers.push({ ...tensor, rawData: bytes.slice() })
      return
    }
    data ??= folder.create(dataFile)
    data.write(new Uint8Array((pageBytes - (data.position % pageBytes)) % pageBytes))
    const externalData = Object.entries({ location: dataFile, offset: data.position, length: bytes.byteLength }).map(
      ([key, value]) => ({ key, value: String(value) }),
    )
    data.write(bytes)
    initializers.push({ ...tensor, externalData, dataLocation: 'EXTERNAL' })
  }

  const constant = (type: 'int64' | 'float32', value: number | number[]) => {
    const values = [value].flat()
    const name = `${type}(${JSON.stringify(value)})`
    if (names.has(name)) return name
    names.add(name)
    const view = type === 'int64' ? BigInt64Array.from(values.map(BigInt)) : Float32Array.from(values)
    addInitializer(name, type, Array.isArray(value) ? [values.length] : [], view)
    return name
  }

  const createScope = (block: Block, path: string): Scope => {
    const scope: Scope = {
      precision,
      real,
      at: (name) => createScope(block, path ? `${path}/${name}` : name),
      op: (type, nodeInputs, attributes) => scope.ops(type, nodeInputs, 1, attributes)[0]!,
      ops(type, nodeInputs, outputCount, attributes = {}) {
        const [, domain, opType] = /^(?:(.+)\.)?(\w+)$/.exec(type)!
        const name = unique(path ? `${path}/${opType}` : opType!)
        const output = Array.from({ length: outputCount }, (_, i) => (i === 0 ? name : `${name}:${i}`))
        const attribute = Object.entries(attributes).map(([key, value]) => encodeAttribute(key, value))
        block.nodes.push({ name, opType, input: nodeInputs, output, attribute, ...(domain && { domain }) })
        return output
      },
      int64: (value) => constant('int64', value),
      float32: (value) => constant('float32', value),
      weight(name, dims, view, type = real) {
        const full = unique(path ? `${path}/${name}` : name)
        const halved = type === 'float16' && view instanceof Float32Array
        addInitializer(full, type, dims, halved ? halve(view, full) : view)
        return full
      },
      cast: (value, to) => scope.op('Cast', [value], { to: dataTypes[to] }),
      loop({ steps, carried, initial, stacked, body }) {
        const inner: Block = { nodes: [] }
        const step = unique(`${path}/step`)
        const condition = unique(`${path}/condition`)
        const entering = carried.map((port) => unique(`${path}/${port.name}`))
        const innerScope = createScope(inner, path)
        const results = body(innerScope, step, entering)
        const made = new Set(inner.nodes.flatMap(({ output }) => output))
        // An output must be made by the body's own nodes, and no value may be two outputs: Identity makes a copy.
        const leaving = [condition, ...results.carried, ...results.stacked].map((value) =>
          made.delete(value) ? value : innerScope.op('Identity', [value]),
        )
        const ports: Port[] = [{ name: condition, type: 'bool', dims: [] }, ...carried, ...stacked]
        const graph = {
          name: unique(`${path}/body`),
          node: inner.nodes,
          input: [
            encodePort(step, 'int64', []),
            encodePort(condition, 'bool', []),
            ...carried.map(({ type, dims }, i) => encodePort(entering[i]!, type, dims)),
          ],
          output: ports.map(({ type, dims }, i) => encodePort(leaving[i]!, type, dims)),
        }
        return scope.ops('Loop', [steps, '', ...initial], carried.length + stacked.length, { body: { graph } })
      },
    }
    return scope
  }

  return {
    ...createScope(main, ''),
    input({ name, type, dims }) {
      names.add(name)
      inputs.push(encodePort(name, type, dims))
      return name
    },
    output({ name, type, dims }, value) {
      names.add(name)
      main.nodes.push({ name: `output/${name}`, opType: 'Identity', input: [value], output: [name] })
      outputs.push(encodePort(name, type, dims))
    },
    write(onto) {
      data?.close()
      const added = { node: main.nodes, initializer: initializers, output: outputs }
      const whole = {
        irVersion,
        producerName: 'promenade',
        opsetImport: [
          { domain: '', version: opset },
          { domain: 'com.microsoft', version: 1 },
        ],
        graph: { name: file, input: inputs, ...added },
      }
      const out = folder.create(file)
      if (onto) out.write(onto)
      out.write(ModelProto.encode(ModelProto.fromObject(onto ? { graph: added } : whole)).finish())
      out.close()
    },
  }
}

const ModelProto = protobuf
  .parse(readFileSync(new URL('onnx.proto', import.meta.url), 'utf8'))
  .root.lookupType('onnx.ModelProto')

/** Throws CheckpointError where float16 has no number as large. */
function halve(weight: Float32Array, name: string): Float16Array {
  const halves = new Float16Array(weight)
  const odd = halves.findIndex((value) => !Number.isFinite(value))
  if (odd === -1) return halves
  throw new CheckpointError(`${name}: ${weight[odd]} at ${odd} is beyond float16; build in another precision`)
}

function encodePort(name: string, type: DataType, dims: Dimension[]): object {
  const dim = dims.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }))
  return { name, type: { tensorType: { elemType: dataTypes[type], shape: { dim } } } }
}

function encodeAttribute(name: string, value: Attribute): object {
  if (typeof value === 'number') return { name, type: 'INT', i: value }
  if (typeof value === 'string') return { name, type: 'STRING', s: Buffer.from(value) }
  if (Array.isArray(value)) return { name, type: 'INTS', ints: value }
  if ('float' in value) return { name, type: 'FLOAT', f: value.float }
  return { name, type: 'GRAPH', g: value.graph }
}
