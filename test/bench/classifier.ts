import { fork } from 'node:child_process'
import { once } from 'node:events'
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { imageClassifier } from '#shared/model/graph.ts'
import type { ClassifierManifest, ImageSpec } from '#shared/model/manifest.ts'
import { preprocess } from '../../services/consumer/classifier/preprocess.ts'
import { buildTowers } from '../../services/models/classifier/build-towers.ts'
import { writeRandomClip } from '../../services/models/classifier/tiny-clip.ts'
import { drawPicture } from '../picture.ts'
import type { Figures, Side } from './classifier-side.ts'
import { basePatch32 } from './clip-shape.ts'
import { createPooledWeights } from './pooled-weights.ts'

/** Each side is measured so often, in turns; the medians count. */
const rounds = 3
const picture = { width: 1600, height: 1200 }

/** Pictures at which preparing is at its heaviest: as large as is accepted, just too small to be reduced, very long. */
const heavyPictures = [
  { width: 4000, height: 3000 },
  { width: 8660, height: 5774 },
  { width: 11585, height: 8630 },
  { width: 1790, height: 1790 },
  { width: 55_000, height: 1790 },
]

/**
 * Our classifier beside transformers.js on the same graph, at the full size of ViT-B/32 with random weights: each
 * prepares the pictures in its own way and runs the graph, in processes of their own, in turns. Then how long preparing
 * the heaviest pictures keeps the thread from anything else.
 */
export async function benchClassifier({ pictures }: { pictures: number }) {
  const dir = mkdtempSync(join(tmpdir(), 'promenade-bench-'))
  try {
    const image = await layOut(dir, pictures)
    const sides: Record<Side, Figures[]> = { ours: [], transformers_js: [] }
    for (let round = 0; round < rounds; round++) {
      for (const side of ['ours', 'transformers_js'] as const) sides[side].push(await measure(side, dir))
    }
    const ours = medians(sides.ours)
    const theirs = medians(sides.transformers_js)
    return {
      pictures,
      picture_pixels: picture,
      ours,
      transformers_js: theirs,
      ratio: (theirs.preprocess_ms + theirs.run_ms) / (ours.preprocess_ms + ours.run_ms),
      longest_block_ms: await measureBlocks(image),
    }
  } finally {
    rmSync(dir, { recursive: true })
  }
}

/** Pictures, and the model in both layouts: `ours`, and `theirs/onnx/model.onnx` with the checkpoint's preprocessing. */
async function layOut(dir: string, pictures: number): Promise<ImageSpec> {
  const checkpointDir = join(dir, 'checkpoint')
  writeRandomClip(checkpointDir, { shape: basePatch32, random: createPooledWeights(1) })
  const outDir = join(dir, 'ours')
  const source = { repository: 'generated', revision: 'seed 1', generated: true }
  await buildTowers({ checkpointDir, outDir, name: 'bench', source, license: 'MIT', precision: 'fp32' })

  mkdirSync(join(dir, 'theirs', 'onnx'), { recursive: true })
  linkSync(join(outDir, imageClassifier.file), join(dir, 'theirs', 'onnx', 'model.onnx'))
  const data = `${imageClassifier.file}.data`
  linkSync(join(outDir, data), join(dir, 'theirs', 'onnx', data))
  // The graph has one input and only pictures go in: a ViT's interface.
  writeFileSync(join(dir, 'theirs', 'config.json'), '{"model_type":"vit"}')
  linkSync(join(checkpointDir, 'preprocessor_config.json'), join(dir, 'theirs', 'preprocessor_config.json'))
  rmSync(join(checkpointDir, 'model.safetensors'))

  mkdirSync(join(dir, 'pictures'))
  for (let seed = 0; seed < pictures; seed++) {
    await drawPicture(seed, picture)
      .jpeg()
      .toFile(join(dir, 'pictures', `${seed}.jpg`))
  }
  const manifest = JSON.parse(readFileSync(join(outDir, 'manifest.json'), 'utf8')) as ClassifierManifest
  return manifest.classifier.graphs[0]!.image
}

async function measure(side: Side, dir: string): Promise<Figures> {
  const child = fork(fileURLToPath(new URL('classifier-side.ts', import.meta.url)), [side, dir])
  const ended = once(child, 'exit')
  const figures = once(child, 'message', { signal: AbortSignal.timeout(600_000) })
  ended.then(
    ([status]) => status && child.emit('error', new Error(`${side} ended with status ${status}`)),
    () => {},
  )
  try {
    return (await figures)[0] as Figures
  } finally {
    child.kill()
  }
}

function medians(rounds: Figures[]): Figures {
  const median = (field: keyof Figures) =>
    rounds.map((figures) => figures[field]).toSorted((a, b) => a - b)[Math.floor(rounds.length / 2)]!
  return { preprocess_ms: median('preprocess_ms'), run_ms: median('run_ms'), peak_mib: median('peak_mib') }
}

/** Milliseconds, by the pixels of the picture. */
async function measureBlocks(image: ImageSpec): Promise<Record<string, number>> {
  const blocks: Record<string, number> = {}
  for (const { width, height } of heavyPictures) {
    const bytes = await drawPicture(1).resize(width, height, { fit: 'fill' }).jpeg().toBuffer()
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    await preprocess(bytes, image, { limitInputPixels: width * height })
    delay.disable()
    blocks[`${width}x${height}`] = delay.max / 1e6
  }
  return blocks
}
