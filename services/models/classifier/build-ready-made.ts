import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { imageClassifier } from '#shared/model/graph.ts'
import { type ClassifierManifest, modelFormat } from '#shared/model/manifest.ts'
import type { BuildOptions } from '../build-options.ts'
import { CheckpointError } from '../checkpoint-error.ts'
import { writeModelFolder } from '../model-folder.ts'
import { createGraph, type Scope, type Value } from '../onnx-graph.ts'
import { type LabelSet, type Labels, labelsFor } from './labels.ts'
import { logits, openReadyMade, type ReadyMade } from './ready-made.ts'

const sets = ['genres', 'styles'] as const
type SetName = (typeof sets)[number]

/**
 * Builds a classifier from image classifiers in ONNX: `checkpointDir` holds one that knows all genres and styles, or the
 * folders `genres` and `styles` with one for each. What they learned stays as it is: their logits of our labels, over
 * the labels' temperature, go through a softmax for each set, and their other classes are left out. There is no
 * embedding. Writes the model's folder `outDir` whole or not at all. Throws CheckpointError.
 */
export async function buildReadyMade(
  options: BuildOptions & {
    /** In place of the checkpoint's or WikiArt's. */
    labels?: Labels
  },
): Promise<void> {
  const { checkpointDir, outDir, name, source, license, precision, labels = labelsFor(checkpointDir) } = options
  const parts = await openParts(checkpointDir)
  const chosen = parts.map(({ gives, classifier }) => ({
    classifier,
    file: parts.length === 1 ? imageClassifier.file : `${gives[0]}.onnx`,
    outputs: gives.map((set) => ({ set, places: placesOf(labels[set], classifier) })),
  }))
  writeModelFolder(outDir, (folder) => {
    for (const { classifier, file, outputs } of chosen) {
      const graph = createGraph(folder, file)
      for (const { set, places } of outputs) {
        const value = probabilities(graph.at(`promenade/${set}`), { places, temperature: labels.temperature ?? 1 })
        graph.output({ name: imageClassifier[set], type: 'float32', dims: ['batch', places.length] }, value)
      }
      graph.write(classifier.bytes)
    }
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
        graphs: chosen.map(({ classifier: { image }, file }) => ({ file, image })),
        genres: labels.genres.labels.map((label) => label.name),
        styles: labels.styles.labels.map((label) => label.name),
      },
    } satisfies ClassifierManifest
  })
}

async function openParts(dir: string): Promise<{ gives: readonly SetName[]; classifier: ReadyMade }[]> {
  const found = sets.filter((set) => existsSync(join(dir, set)))
  if (found.length === 0) return [{ gives: sets, classifier: await openReadyMade(dir) }]
  if (found.length === 1) {
    throw new CheckpointError(`${dir}: has the folder ${found[0]} only, expected ${sets.join(' and ')}`)
  }
  return Promise.all(sets.map(async (set) => ({ gives: [set], classifier: await openReadyMade(join(dir, set)) })))
}

/** Where the logits of a set's labels are. Names are compared by their letters and digits alone. */
function placesOf({ labels }: LabelSet, { dir, classes }: ReadyMade): number[] {
  const places = labels.map(({ name, class: wanted = name }) => {
    const found = classes.flatMap((each, place) => (bare(each) === bare(wanted) ? [place] : []))
    return { wanted, found }
  })
  const missing = places.filter(({ found }) => found.length !== 1).map(({ wanted }) => wanted)
  if (missing.length) {
    throw new CheckpointError(
      `${join(dir, 'config.json')}: id2label should have each of ${missing.join(', ')} once, found ${classes.join(', ')}. ` +
        'Labels whose class is called otherwise say so in the labels file.',
    )
  }
  return places.map(({ found }) => found[0]!)
}

function bare(name: string): string {
  return name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '')
}

/** Softmax over the logits at `places`, divided by the temperature. */
function probabilities(scope: Scope, { places, temperature }: { places: number[]; temperature: number }): Value {
  const ours = scope.op('Gather', [logits, scope.int64(places)], { axis: 1 })
  return scope.op('Softmax', [scope.op('Div', [ours, scope.float32(temperature)])], { axis: -1 })
}
