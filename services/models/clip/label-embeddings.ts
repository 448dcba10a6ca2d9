import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import Type from 'typebox'
import { tokenizerFile } from '#shared/model/manifest.ts'
import { CheckpointError } from '../checkpoint-error.ts'
import { readCheckpointJson } from '../checkpoint-json.ts'
import { writeModelFolder } from '../model-folder.ts'
import { createGraph } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import type { ClipConfig, TextConfig } from './config.ts'
import { type LabelSet, sentences } from './labels.ts'
import { textTower } from './text-tower.ts'

/** Embeds texts with the checkpoint's text tower. `close` ends its session. */
export async function openTextEmbedder(checkpointDir: string, checkpoint: Checkpoint, config: ClipConfig) {
  const tokenizer = new Tokenizer(readCheckpointJson(join(checkpointDir, tokenizerFile), Type.Object({})), {})
  const session = await openTextTower(checkpoint, config)
  return {
    /** @returns [projection], of length 1 */
    async embed(text: string): Promise<Float32Array> {
      const ids = throughEndToken(tokenizer.encode(text).ids, config.text_config, text)
      const input = new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length])
      const { embedding } = await session.run({ ids: input })
      return embedding!.data as Float32Array
    },
    close: () => session.release(),
  }
}

/**
 * The embedding of each label [labels, projection]: the mean over the embeddings of every sentence about it, scaled to
 * length 1 (prompt ensembling, section 3.1.4 of arXiv:2103.00020).
 */
export async function embedLabels(
  set: LabelSet,
  embed: (text: string) => Promise<Float32Array>,
): Promise<Float32Array[]> {
  const embeddings: Float32Array[] = []
  for (const label of set.labels) {
    const rows: Float32Array[] = []
    for (const sentence of sentences(set, label)) rows.push(await embed(sentence))
    const sum = rows[0]!.map((_, i) => rows.reduce((total, row) => total + row[i]!, 0))
    const length = Math.hypot(...sum)
    embeddings.push(sum.map((value) => value / length))
  }
  return embeddings
}

/** Loads the tower from a folder that is gone again afterwards: only its results become part of the model. */
async function openTextTower(checkpoint: Checkpoint, config: ClipConfig): Promise<InferenceSession> {
  const dir = mkdtempSync(join(tmpdir(), 'promenade-text-tower-'))
  try {
    const path = join(dir, 'model')
    writeModelFolder(path, (folder) => {
      const graph = createGraph(folder, 'text-tower.onnx')
      const ids = graph.input({ name: 'ids', type: 'int64', dims: ['batch', 'time'] })
      graph.output(
        { name: 'embedding', type: 'float32', dims: ['batch', config.projection_dim] },
        textTower(graph.at('text_model'), checkpoint, config, ids),
      )
      graph.write()
      return { files: folder.files }
    })
    return await InferenceSession.create(join(path, 'text-tower.onnx'), { executionProviders: ['cpu'] })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/**
 * Cuts the ids after the token whose state is the text's embedding: the first end token. Checkpoints whose
 * configuration says 2, which was never right, mean the largest id.
 */
function throughEndToken(ids: number[], { eos_token_id: end, max_position_embeddings: max }: TextConfig, text: string) {
  const at = ids.indexOf(end === 2 ? Math.max(...ids) : end)
  if (at === -1) throw new CheckpointError(`"${text}" becomes ${ids} without the end token ${end}`)
  if (at >= max) throw new CheckpointError(`"${text}" becomes ${at + 1} tokens, the checkpoint takes at most ${max}`)
  return ids.slice(0, at + 1)
}
