import { join } from 'node:path'
import { InferenceSession } from 'onnxruntime-node'
import { audioDecoder, imageClassifier, musicDecoder, textEncoder } from '#shared/model/graph.ts'
import type { ClassifierManifest, MusicManifest } from '#shared/model/manifest.ts'

type Type = 'int64' | 'float32'
/** A number must be met; a name stands for any size. */
type Dimension = number | string
type Ports = Record<string, { type: Type; dims: Dimension[]; optional?: boolean }>
interface GraphPorts {
  inputs: Ports
  outputs: Ports
  /** What it gives besides, the runner does not ask for. */
  givesMore?: boolean
}

/** What the graphs of a model must take and give: shared/model/graph.ts, with the model's own sizes. */
function expectedGraphs(manifest: MusicManifest | ClassifierManifest): Record<string, GraphPorts> {
  return manifest.kind === 'musicgen' ? musicGraphs(manifest) : classifierGraphs(manifest)
}

function musicGraphs({ music }: MusicManifest): Record<string, GraphPorts> {
  const { layers, heads, headWidth, codebooks, codebookSize, channels, guided } = music
  const mask: Ports = { [textEncoder.attentionMask]: { type: 'int64', dims: ['batch', 'text'] } }
  const cross: Ports = {
    [textEncoder.crossKeys]: { type: 'float32', dims: [layers, 'batch', heads, 'text', headWidth] },
    [textEncoder.crossValues]: { type: 'float32', dims: [layers, 'batch', heads, 'text', headWidth] },
  }
  const stretches = (time: string, ...names: ((layer: number) => string)[]): Ports => {
    const port = { type: 'float32' as const, dims: ['rows', heads, time, headWidth] }
    return Object.fromEntries(names.flatMap((name) => Array.from({ length: layers }, (_, i) => [name(i), port])))
  }
  return {
    [textEncoder.file]: {
      inputs: { [textEncoder.inputIds]: { type: 'int64', dims: ['batch', 'text'] }, ...mask },
      outputs: { ...cross, [textEncoder.hiddenStates]: { type: 'float32', dims: ['batch', 'text', 'width'] } },
    },
    [musicDecoder.file]: {
      inputs: {
        [musicDecoder.codes]: { type: 'int64', dims: ['batch', codebooks] },
        [musicDecoder.position]: { type: 'int64', dims: [] },
        [musicDecoder.frameCounts]: { type: 'int64', dims: ['batch'] },
        [musicDecoder.uniforms]: { type: 'float32', dims: ['steps', 'batch', codebooks] },
        ...(guided && { [musicDecoder.guidanceScale]: { type: 'float32', dims: [] } }),
        [musicDecoder.temperature]: { type: 'float32', dims: [] },
        [musicDecoder.topK]: { type: 'int64', dims: [] },
        ...mask,
        ...cross,
        ...stretches('position', musicDecoder.pastKeys, musicDecoder.pastValues),
      },
      outputs: {
        [musicDecoder.columns]: { type: 'int64', dims: ['steps', 'batch', codebooks] },
        ...stretches('steps', musicDecoder.newKeys, musicDecoder.newValues),
        [musicDecoder.logits]: {
          type: 'float32',
          dims: ['steps', 'batch', codebooks, codebookSize],
          optional: true,
        },
      },
    },
    [audioDecoder.file]: {
      inputs: { [audioDecoder.codes]: { type: 'int64', dims: ['batch', codebooks, 'frames'] } },
      outputs: { [audioDecoder.pcm]: { type: 'float32', dims: ['batch', channels, 'samples'] } },
    },
  }
}

/** Of two graphs, each gives one of the label sets; foreign ones, which have no embedding, keep their own outputs too. */
function classifierGraphs({ classifier }: ClassifierManifest): Record<string, GraphPorts> {
  const { graphs, genres, styles, embeddingWidth } = classifier
  const float32 = (width: number | string, optional: boolean) => ({
    type: 'float32' as const,
    dims: ['batch', width],
    optional,
  })
  return Object.fromEntries(
    graphs.map(({ file, image }) => [
      file,
      {
        inputs: { [imageClassifier.pixelValues]: { type: 'float32', dims: ['batch', 3, image.crop, image.crop] } },
        outputs: {
          [imageClassifier.genres]: float32(genres.length, graphs.length > 1),
          [imageClassifier.styles]: float32(styles.length, graphs.length > 1),
          [imageClassifier.embedding]: float32(embeddingWidth ?? 'width', embeddingWidth === undefined),
        },
        givesMore: embeddingWidth === undefined,
      },
    ]),
  )
}

/** Nothing is to run, so nothing is rearranged for speed: the weights stay where they are on the disk. */
const options: InferenceSession.SessionOptions = {
  graphOptimizationLevel: 'disabled',
  extra: { session: { disable_prepacking: '1' } },
}

/** Loads each graph of a built model once, and says where it is not what the runner expects. */
export async function graphFaults(dir: string, manifest: MusicManifest | ClassifierManifest): Promise<string[]> {
  const faults: string[] = []
  for (const [file, { inputs, outputs, givesMore }] of Object.entries(expectedGraphs(manifest))) {
    const path = join(dir, file)
    let session: InferenceSession
    try {
      session = await InferenceSession.create(path, options)
    } catch (error) {
      faults.push(`${path}: ONNX Runtime cannot load the graph: ${(error as Error).message}`)
      continue
    }
    faults.push(
      ...portFaults(`${path}: input`, inputs, session.inputMetadata),
      ...portFaults(
        `${path}: output`,
        outputs,
        session.outputMetadata.filter(({ name }) => !givesMore || outputs[name]),
      ),
    )
    await session.release()
  }
  return faults
}

function portFaults(where: string, expected: Ports, found: readonly InferenceSession.ValueMetadata[]): string[] {
  const faults: string[] = []
  for (const port of found) {
    if (!expected[port.name]) faults.push(`${where} ${port.name} is not known to the runner`)
  }
  for (const [name, { type, dims, optional }] of Object.entries(expected)) {
    const port = found.find((each) => each.name === name)
    const wanted = `${type} [${dims}]`
    if (!port) {
      if (!optional) faults.push(`${where} ${name} is missing, expected ${wanted}`)
      continue
    }
    if (!port.isTensor) {
      faults.push(`${where} ${name} is no tensor, expected ${wanted}`)
      continue
    }
    const sized =
      port.shape.length === dims.length &&
      dims.every((size, i) => typeof size === 'string' || typeof port.shape[i] === 'string' || port.shape[i] === size)
    if (port.type !== type || !sized)
      faults.push(`${where} ${name} is ${port.type} [${port.shape}], expected ${wanted}`)
  }
  return faults
}
