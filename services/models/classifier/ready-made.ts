import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import Type from 'typebox'
import { imageClassifier } from '#shared/model/graph.ts'
import type { ImageSpec } from '#shared/model/manifest.ts'
import { CheckpointError } from '../checkpoint-error.ts'
import { readCheckpointJson } from '../checkpoint-json.ts'
import { readImageSpec } from './image-spec.ts'

const Config = Type.Object({ id2label: Type.Record(Type.String(), Type.String()) })

/** What exporters to ONNX call its output [batch, classes]. */
export const logits = 'logits'

/** An image classifier as Hugging Face hosts them in ONNX. */
export interface ReadyMade {
  dir: string
  /** The graph, whole. */
  bytes: Buffer
  /** By the places of their logits. */
  classes: string[]
  image: ImageSpec
}

/**
 * Opens a folder with `onnx/model.onnx` or `model.onnx`, `config.json` with `id2label`, and `preprocessor_config.json`.
 * Throws CheckpointError when one is missing or faulty, or when the graph does not turn a picture into finite logits of
 * those classes: it is run once.
 */
export async function openReadyMade(dir: string): Promise<ReadyMade> {
  const path = ['onnx/model.onnx', 'model.onnx'].map((file) => join(dir, file)).find((file) => existsSync(file))
  if (!path) throw new CheckpointError(`${dir}: expected onnx/model.onnx or model.onnx, found neither`)
  const configPath = join(dir, 'config.json')
  const { id2label } = readCheckpointJson(configPath, Config)
  const classes = Object.keys(id2label).map((_, i) => {
    const name = id2label[i]
    if (name === undefined)
      throw new CheckpointError(`${configPath}: id2label has no ${i}, expected every number from 0`)
    return name
  })
  const image = readImageSpec(dir)
  const bytes = readFileSync(path)
  await tryOut(bytes, { path, classes: classes.length, side: image.crop })
  return { dir, bytes, classes, image }
}

async function tryOut(
  bytes: Buffer,
  { path, classes, side }: { path: string; classes: number; side: number },
): Promise<void> {
  const failed = (cause: Error) => {
    throw new CheckpointError(`${path}: ONNX Runtime cannot run it alone: ${cause.message}`, { cause })
  }
  // From memory: what lies beside it does not come along.
  const session = await InferenceSession.create(bytes, { executionProviders: ['cpu'], logSeverityLevel: 4 }).catch(
    failed,
  )
  try {
    const { inputNames, outputNames } = session
    if (inputNames.join() !== imageClassifier.pixelValues || !outputNames.includes(logits)) {
      throw new CheckpointError(
        `${path}: takes ${inputNames.join(', ')} and gives ${outputNames.join(', ')}, ` +
          `expected ${imageClassifier.pixelValues} and ${logits}`,
      )
    }
    const grey = new Tensor('float32', new Float32Array(3 * side * side), [1, 3, side, side])
    const { [logits]: found } = await session.run({ [imageClassifier.pixelValues]: grey }, [logits]).catch(failed)
    const { type, dims, data } = found!
    if (type !== 'float32' || dims.join() !== `1,${classes}`) {
      throw new CheckpointError(
        `${path}: ${logits} is ${type} [${dims}], expected float32 [1,${classes}] as config.json's id2label says`,
      )
    }
    if (!(data as Float32Array).every(Number.isFinite)) {
      throw new CheckpointError(`${path}: ${logits} of a grey picture are not all finite numbers`)
    }
  } finally {
    await session.release()
  }
}
