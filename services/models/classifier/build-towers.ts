import { imageClassifier } from '#shared/model/graph.ts'
import { type ClassifierManifest, modelFormat } from '#shared/model/manifest.ts'
import type { BuildOptions } from '../build-options.ts'
import { writeModelFolder } from '../model-folder.ts'
import { createGraph, type Scope, type Value } from '../onnx-graph.ts'
import { openCheckpoint } from '../safetensors.ts'
import { readImageSpec } from './image-spec.ts'
import { embedLabels, openTextEmbedder } from './label-embeddings.ts'
import { type Labels, labelsFor } from './labels.ts'
import { openTowers, type Towers } from './towers.ts'

/**
 * Builds a classifier from a CLIP or SigLIP checkpoint in Hugging Face's layout: the image tower, and instead of the
 * text tower what it says of every label. Writes the model's folder `outDir` whole or not at all.
 * Throws CheckpointError when the checkpoint is not one it can build from.
 */
export async function buildTowers(
  options: BuildOptions & {
    /** In place of the checkpoint's or WikiArt's. */
    labels?: Labels
  },
): Promise<void> {
  const { checkpointDir, outDir, name, source, license, precision, labels = labelsFor(checkpointDir) } = options
  const checkpoint = openCheckpoint(checkpointDir)
  try {
    const towers = openTowers(checkpointDir, checkpoint)
    const image = readImageSpec(checkpointDir, towers.imageSide)
    const { genres, styles } = await embedAll(labels, towers)
    const temperature = labels.temperature ?? towers.temperature
    writeModelFolder(outDir, (folder) => {
      const graph = createGraph(folder, imageClassifier.file, precision)
      const dims = ['batch', 3, image.crop, image.crop]
      const pixels = graph.input({ name: imageClassifier.pixelValues, type: 'float32', dims })
      const embedding = towers.imageTower(graph.at('vision_model'), pixels)
      for (const [output, rows] of [
        [imageClassifier.genres, genres],
        [imageClassifier.styles, styles],
      ] as const) {
        const value = probabilities(graph.at(output), { embedding, labels: rows, temperature })
        graph.output({ name: output, type: 'float32', dims: ['batch', rows.length] }, value)
      }
      const { embeddingWidth } = towers
      graph.output({ name: imageClassifier.embedding, type: 'float32', dims: ['batch', embeddingWidth] }, embedding)
      graph.write()
      return {
        format: modelFormat,
        name,
        kind: 'classifier',
        source,
        license,
        precision,
        builtAt: new Date().toISOString(),
        files: folder.files,
        classifier: {
          graphs: [{ file: imageClassifier.file, image }],
          genres: labels.genres.labels.map((label) => label.name),
          styles: labels.styles.labels.map((label) => label.name),
          embeddingWidth,
        },
      } satisfies ClassifierManifest
    })
  } finally {
    checkpoint.close()
  }
}

async function embedAll(labels: Labels, towers: Towers) {
  const embedder = await openTextEmbedder(towers)
  try {
    return {
      genres: await embedLabels(labels.genres, embedder.embed),
      styles: await embedLabels(labels.styles, embedder.embed),
    }
  } finally {
    await embedder.close()
  }
}

/** Softmax over the cosine similarities of the picture with each label, divided by the temperature; always in float32. */
function probabilities(
  scope: Scope,
  { embedding, labels, temperature }: { embedding: Value; labels: Float32Array[]; temperature: number },
): Value {
  const width = labels[0]!.length
  // [width, labels]
  const columns = Float32Array.from({ length: width * labels.length }, (_, i) => {
    return labels[i % labels.length]![Math.floor(i / labels.length)]! / temperature
  })
  const logits = scope.op('MatMul', [embedding, scope.weight('labels', [width, labels.length], columns, 'float32')])
  return scope.op('Softmax', [logits], { axis: -1 })
}
