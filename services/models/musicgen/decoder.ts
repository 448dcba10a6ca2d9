import { musicDecoder } from '#shared/model/graph.ts'
import type { Precision } from '#shared/model/manifest.ts'
import { asFloat32, asReal, layerNorm, linear, maskBias } from '../layers.ts'
import type { ModelFolder } from '../model-folder.ts'
import { createGraph, type Graph, type Port, type Scope, type Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import { codebookDelays, type DecoderConfig } from './config.ts'
import { createDecoderLayer } from './decoder-layer.ts'
import { createEmbedding } from './embedding.ts'
import { pairRows, timesOf } from './rows.ts'
import { guide, holdDelays, sample } from './sampling.ts'

/**
 * MusicGen's decoder with its loop (transformers, models/musicgen): each step embeds a column, runs the layers, guides,
 * samples the next column and holds it to the delay pattern. The cache is in two parts: the steps before this chunk,
 * which the loop only reads, and the steps of this chunk, which it carries; only they come out.
 */
export function writeDecoder(
  folder: ModelFolder,
  options: {
    checkpoint: Checkpoint
    config: DecoderConfig
    guided: boolean
    precision: Precision
    withLogits: boolean
  },
): void {
  const { checkpoint, config, guided, precision, withLogits } = options
  const { num_hidden_layers: layers, num_attention_heads: heads, hidden_size: width, num_codebooks: codebooks } = config
  const headWidth = width / heads
  const graph = createGraph(folder, musicDecoder.file, precision)
  const inputs = declareInputs(graph, config, guided)

  const scope = graph.at('decoder')
  const perLayer = (stacked: Value) =>
    scope
      .ops('Split', [asReal(scope, stacked)], layers, { axis: 0, num_outputs: layers })
      .map((slice) => scope.op('Squeeze', [slice, scope.int64([0])]))
  const pairs = pairRows(scope.at('pairs'), inputs.codes, guided)
  const crossKeys = perLayer(pairs.pad(scope, inputs.crossKeys, 1))
  const crossValues = perLayer(pairs.pad(scope, inputs.crossValues, 1))
  const textBias = maskBias(scope.at('attention_mask'), pairs.pad(scope, inputs.attentionMask, 0))
  const runLayer = Array.from({ length: layers }, (_, layer) =>
    createDecoderLayer({
      checkpoint,
      config,
      layer,
      split: pairs.split,
      past: inputs.past[layer]!,
      cross: { keys: crossKeys[layer]!, values: crossValues[layer]!, bias: textBias },
    }),
  )
  const embed = createEmbedding(scope, checkpoint, config)
  const toLogits = createHeads(scope, checkpoint, config)
  const pastLength = scope.op('Shape', [inputs.past[0]!.keys], { start: 2, end: 3 })
  const rows = scope.op('Shape', [inputs.past[0]!.keys], { start: 0, end: 1 })
  const noSteps = (past: Value) => scope.op('Slice', [past, scope.int64([0]), scope.int64([0]), scope.int64([2])])

  const column: Port = { name: 'codes', type: 'int64', dims: ['batch', codebooks] }
  const tail = (name: string): Port => ({ name, type: scope.real, dims: ['rows', heads, '', headWidth] })
  const logitsPort: Port = { name: 'logits', type: 'float32', dims: ['batch', codebooks, config.vocab_size] }
  const results = scope.at('loop').loop({
    steps: scope.op('Squeeze', [scope.op('Shape', [inputs.uniforms], { start: 0, end: 1 })]),
    carried: [
      column,
      ...runLayer.flatMap((_, layer) => [tail(`layers.${layer}/keys`), tail(`layers.${layer}/values`)]),
    ],
    initial: [inputs.codes, ...inputs.past.flatMap(({ keys, values }) => [noSteps(keys), noSteps(values)])],
    stacked: withLogits ? [column, logitsPort] : [column],
    body(loop, step, [codes, ...tails]) {
      const position = loop.op('Add', [inputs.position, step])
      const tailLength = loop.op('Unsqueeze', [loop.op('Add', [step, loop.int64(1)]), loop.int64([0])])
      const times = timesOf(loop.at('times'), { pastLength, tailLength, rows, heads })
      const embedded = embed(loop.at('embed'), guided ? codes! : pairs.pad(loop, codes!, 0), position)
      let x = guided ? loop.op('Concat', [embedded, embedded], { axis: 0 }) : embedded
      const grown: Value[] = []
      for (const [layer, run] of runLayer.entries()) {
        const [keys, values] = tails.slice(2 * layer, 2 * layer + 2)
        const result = run(loop.at(`layers.${layer}`), x, { keys: keys!, values: values! }, times)
        x = result.x
        grown.push(result.keys, result.values)
      }
      const raw = toLogits(loop, x)
      const logits = guided ? guide(loop.at('guidance'), raw, inputs.guidanceScale) : pairs.cut(loop, raw)
      const uniform = loop.op('Gather', [inputs.uniforms, step], { axis: 0 })
      const sampled = sample(loop.at('sampling'), {
        logits,
        uniform,
        temperature: inputs.temperature,
        topK: inputs.topK,
        codebookSize: config.vocab_size,
      })
      const next = holdDelays(loop.at('delay_pattern'), {
        sampled,
        position,
        frameCounts: inputs.frameCounts,
        delays: codebookDelays(config),
        startToken: config.vocab_size,
      })
      return { carried: [next, ...grown], stacked: withLogits ? [next, logits] : [next] }
    },
  })

  const columns = results[1 + 2 * layers]!
  graph.output({ name: musicDecoder.columns, type: 'int64', dims: ['steps', 'batch', codebooks] }, columns)
  const added = (name: string, value: Value) =>
    graph.output({ name, type: 'float32', dims: ['rows', heads, 'steps', headWidth] }, asFloat32(scope, value))
  for (let layer = 0; layer < layers; layer++) {
    added(musicDecoder.newKeys(layer), results[1 + 2 * layer]!)
    added(musicDecoder.newValues(layer), results[2 + 2 * layer]!)
  }
  if (withLogits) {
    const dims = ['steps', 'batch', codebooks, config.vocab_size]
    graph.output({ name: musicDecoder.logits, type: 'float32', dims }, results[2 + 2 * layers]!)
  }
  graph.write()
}

function declareInputs(graph: Graph, config: DecoderConfig, guided: boolean) {
  const { num_hidden_layers: layers, num_attention_heads: heads, hidden_size: width, num_codebooks: codebooks } = config
  const headWidth = width / heads
  const float32 = (name: string, dims: (number | string)[]) => graph.input({ name, type: 'float32', dims })
  const int64 = (name: string, dims: (number | string)[]) => graph.input({ name, type: 'int64', dims })
  const past = (name: string) => asReal(graph, float32(name, ['rows', heads, 'position', headWidth]))
  const cross = [layers, 'batch', heads, 'text', headWidth]
  return {
    codes: int64(musicDecoder.codes, ['batch', codebooks]),
    position: int64(musicDecoder.position, []),
    frameCounts: int64(musicDecoder.frameCounts, ['batch']),
    uniforms: float32(musicDecoder.uniforms, ['steps', 'batch', codebooks]),
    guidanceScale: guided ? float32(musicDecoder.guidanceScale, []) : '',
    temperature: float32(musicDecoder.temperature, []),
    topK: int64(musicDecoder.topK, []),
    attentionMask: int64(musicDecoder.attentionMask, ['batch', 'text']),
    crossKeys: float32(musicDecoder.crossKeys, cross),
    crossValues: float32(musicDecoder.crossValues, cross),
    past: Array.from({ length: layers }, (_, layer) => ({
      keys: past(musicDecoder.pastKeys(layer)),
      values: past(musicDecoder.pastValues(layer)),
    })),
  }
}

/** [rows, width] to logits [rows, codebooks, codebookSize]: the final norm and the heads, all in one product. */
function createHeads(scope: Scope, checkpoint: Checkpoint, config: DecoderConfig) {
  const { num_codebooks: codebooks, vocab_size: codebookSize, hidden_size: width } = config
  const heads = new Float32Array(codebooks * codebookSize * width)
  for (let k = 0; k < codebooks; k++) {
    heads.set(checkpoint.read(`decoder.lm_heads.${k}.weight`, [codebookSize, width]), k * codebookSize * width)
  }
  return (step: Scope, x: Value): Value => {
    const name = 'decoder.model.decoder.layer_norm'
    const normed = layerNorm(step.at('layer_norm'), x, { checkpoint, name, width, epsilon: 1e-5 })
    const outputs = codebooks * codebookSize
    const flat = linear(step.at('lm_heads'), normed, { weight: heads, inputs: width, outputs, leastBits: 8 })
    return step.op('Reshape', [asFloat32(step, flat), scope.int64([-1, codebooks, codebookSize])])
  }
}
