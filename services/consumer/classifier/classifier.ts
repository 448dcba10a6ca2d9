import { styleCount } from '#shared/contract/result.ts'
import { imageClassifier } from '#shared/model/graph.ts'
import type { ClassifierManifest } from '#shared/model/manifest.ts'
import type { Graph, Tensor } from '../onnx/graph.ts'

const known = [imageClassifier.genres, imageClassifier.styles, imageClassifier.embedding]

interface Ranked {
  name: string
  /** Probability among the labels of its set. */
  score: number
}

export interface Classification {
  genre: Ranked
  /** The most probable styles, scores descending. */
  styles: Ranked[]
  /** [embeddingWidth], of length 1; null from models that have none */
  embedding: Float32Array | null
}

/** Pixel values to ranked genres and styles; `graphs` are the manifest's, in its order, and the caller's to release. */
export function createClassifier(dependencies: {
  manifest: ClassifierManifest['classifier']
  graphs: readonly Pick<Graph, 'run' | 'outputs'>[]
}) {
  const { manifest, graphs } = dependencies

  return {
    /** @param views of the picture, one for each graph: [3, crop, crop], as `preprocess` makes them */
    async classify(views: Float32Array[]): Promise<Classification> {
      const outputs: Record<string, Tensor> = {}
      for (const [i, { image }] of manifest.graphs.entries()) {
        const dims = [1, 3, image.crop, image.crop]
        const pixels = { type: 'float32', data: views[i]!, dims } as const
        // What a ready-made graph gives besides is of any size and type.
        const wanted = known.filter((name) => graphs[i]!.outputs.includes(name))
        Object.assign(outputs, await graphs[i]!.run({ [imageClassifier.pixelValues]: pixels }, wanted))
      }
      const [genre] = rank(manifest.genres, row(outputs, imageClassifier.genres, manifest.genres.length))
      const styles = rank(manifest.styles, row(outputs, imageClassifier.styles, manifest.styles.length))
      const { embeddingWidth: width } = manifest
      const embedding = width === undefined ? null : row(outputs, imageClassifier.embedding, width)
      return { genre: genre!, styles: styles.slice(0, styleCount), embedding }
    },
  }
}

function row(outputs: Record<string, Tensor>, name: string, length: number): Float32Array {
  const output = outputs[name]
  if (output?.type !== 'float32' || output.data.length !== length) {
    const found = output ? `${output.type} [${output.dims}]` : 'nothing'
    throw new Error(`the classifier's graph gave ${found} as ${name}, expected float32 [1,${length}]`)
  }
  if (!output.data.every(Number.isFinite)) {
    throw new Error(`the classifier's graph gave ${name} that are not all finite numbers`)
  }
  return output.data
}

/** Labels with their probabilities, the most probable first; equal ones in the order of the labels. */
export function rank(names: readonly string[], probabilities: Float32Array): Ranked[] {
  return names.map((name, i) => ({ name, score: probabilities[i]! })).sort((a, b) => b.score - a.score)
}
