import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { CheckpointError } from '../checkpoint-error.ts'
import { writeModelFolder } from '../model-folder.ts'
import { createGraph } from '../onnx-graph.ts'
import { type LabelSet, sentences } from './labels.ts'
import type { Towers } from './towers.ts'

/** Embeds texts with the checkpoint's text tower. `close` ends its session. */
export async function openTextEmbedder(towers: Towers) {
  const session = await openTextTower(towers)
  return {
    /** @returns [embeddingWidth], of length 1 */
    async embed(text: string): Promise<Float32Array> {
      const ids = towers.tokenize(text)
      const input = new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length])
      const { embedding } = await session.run({ ids: input })
      return embedding!.data as Float32Array
    },
    close: () => session.release(),
  }
}

/**
 * The embedding of each label [labels, embeddingWidth]: the mean over the embeddings of every sentence about it, scaled
 * to length 1 (prompt ensembling, section 3.1.4 of arXiv:2103.00020).
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
    if (!(length > 0 && length < Number.POSITIVE_INFINITY)) {
      throw new CheckpointError(`the text tower says nothing of "${label.text}": are its weights finite numbers?`)
    }
    embeddings.push(sum.map((value) => value / length))
  }
  return embeddings
}

/** Loads the tower from a folder that is gone again afterwards: only its results become part of the model. */
async function openTextTower({ textTower, embeddingWidth }: Towers): Promise<InferenceSession> {
  const dir = mkdtempSync(join(tmpdir(), 'promenade-text-tower-'))
  try {
    const path = join(dir, 'model')
    writeModelFolder(path, (folder) => {
      const graph = createGraph(folder, 'text-tower.onnx')
      const ids = graph.input({ name: 'ids', type: 'int64', dims: ['batch', 'time'] })
      const embedding = textTower(graph.at('text_model'), ids)
      graph.output({ name: 'embedding', type: 'float32', dims: ['batch', embeddingWidth] }, embedding)
      graph.write()
      return { files: folder.files }
    })
    return await InferenceSession.create(join(path, 'text-tower.onnx'), { executionProviders: ['cpu'] })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
