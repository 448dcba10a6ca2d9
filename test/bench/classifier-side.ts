// One side of the classifier's benchmark, as a process of its own: measures, tells its parent, and ends.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ClassifierManifest } from '#shared/model/manifest.ts'
import { createClassifier } from '../../services/consumer/classifier/classifier.ts'
import { preprocess } from '../../services/consumer/classifier/preprocess.ts'
import { openGraph } from '../../services/consumer/onnx/graph.ts'

export type Side = 'ours' | 'transformers_js'

/** Milliseconds are of one picture, on average. */
export interface Figures {
  preprocess_ms: number
  run_ms: number
  peak_mib: number
}

interface Classifier<T> {
  prepare(picture: Buffer): Promise<T>
  run(prepared: T): Promise<unknown>
}

const warmUps = 3

async function ours(dir: string): Promise<Classifier<Float32Array>> {
  const manifest = JSON.parse(readFileSync(join(dir, 'ours', 'manifest.json'), 'utf8')) as ClassifierManifest
  const [{ file, image }] = manifest.classifier.graphs as [ClassifierManifest['classifier']['graphs'][number]]
  const graph = await openGraph(join(dir, 'ours', file), { executionProviders: ['cpu'] })
  const classifier = createClassifier({ manifest: manifest.classifier, graphs: [graph] })
  return {
    prepare: (picture) => preprocess(picture, image, { limitInputPixels: 100_000_000 }),
    run: (pixels) => classifier.classify([pixels]),
  }
}

async function transformersJs(dir: string): Promise<Classifier<object>> {
  const { AutoImageProcessor, AutoModel, env, RawImage } = await import('@huggingface/transformers')
  env.allowRemoteModels = false
  env.localModelPath = dir
  const processor = await AutoImageProcessor.from_pretrained('theirs', {})
  const model = await AutoModel.from_pretrained('theirs', { dtype: 'fp32', device: 'cpu' })
  return {
    prepare: async (picture) => processor(await RawImage.fromBlob(new Blob([new Uint8Array(picture)]))),
    run: (prepared) => model(prepared),
  }
}

async function measure<T>({ prepare, run }: Classifier<T>, pictures: Buffer[]): Promise<Figures> {
  let [preparing, running] = [0, 0]
  for (const [i, picture] of [...pictures.slice(0, warmUps), ...pictures].entries()) {
    const start = performance.now()
    const prepared = await prepare(picture)
    const middle = performance.now()
    await run(prepared)
    if (i < warmUps) continue
    preparing += middle - start
    running += performance.now() - middle
  }
  return {
    preprocess_ms: preparing / pictures.length,
    run_ms: running / pictures.length,
    peak_mib: process.resourceUsage().maxRSS / 1024,
  }
}

const [side, dir] = process.argv.slice(2) as [Side, string]
const folder = join(dir, 'pictures')
const pictures = readdirSync(folder).map((name) => readFileSync(join(folder, name)))
process.send!(
  side === 'ours' ? await measure(await ours(dir), pictures) : await measure(await transformersJs(dir), pictures),
)
process.disconnect()
