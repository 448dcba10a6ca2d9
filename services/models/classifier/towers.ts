import { join } from 'node:path'
import Type from 'typebox'
import { readCheckpointJson } from '../checkpoint-json.ts'
import type { Scope, Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import { openClip } from './clip.ts'
import { openSiglip } from './siglip.ts'

/** A checkpoint with an image tower and a text tower, whose embeddings lie in one space. */
export interface Towers {
  /** Pixels, of the square that the image tower takes. */
  imageSide: number
  embeddingWidth: number
  /** Of its similarities, as it was trained. */
  temperature: number
  /** pixel values [batch, 3, imageSide, imageSide] to [batch, embeddingWidth], of length 1 */
  imageTower(scope: Scope, pixels: Value): Value
  /** The ids of one text, as the text tower takes them. Throws CheckpointError when they are too many. */
  tokenize(text: string): number[]
  /** ids [batch, time] int64 to [batch, embeddingWidth], of length 1 */
  textTower(scope: Scope, ids: Value): Value
}

const architectures = { clip: openClip, siglip: openSiglip }

/** Throws CheckpointError with the field, what it must be and what it is. */
export function openTowers(checkpointDir: string, checkpoint: Checkpoint): Towers {
  const path = join(checkpointDir, 'config.json')
  const names = Object.keys(architectures) as (keyof typeof architectures)[]
  const { model_type: architecture } = readCheckpointJson(path, Type.Object({ model_type: Type.Enum(names) }))
  return architectures[architecture](checkpointDir, checkpoint)
}
