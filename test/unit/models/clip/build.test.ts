import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import Value from 'typebox/value'
import { imageClassifier } from '#shared/model/graph.ts'
import { ClassifierManifest } from '#shared/model/manifest.ts'
import { openGraph } from '../../../../services/consumer/onnx/graph.ts'
import { buildClip } from '../../../../services/models/clip/build.ts'
import { readClipConfig } from '../../../../services/models/clip/config.ts'
import { openTextEmbedder } from '../../../../services/models/clip/label-embeddings.ts'
import { writeTinyClip } from '../../../../services/models/clip/tiny.ts'
import { openCheckpoint } from '../../../../services/models/safetensors.ts'
import golden from '../../../golden/clip.json' with { type: 'json' }
import { tolerance } from '../../../golden/tolerance.ts'

const side = 64

describe('a CLIP checkpoint', () => {
  let dir: string
  let checkpointDir: string
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'clip-'))
    checkpointDir = join(dir, 'checkpoint')
    writeTinyClip(checkpointDir, { seed: golden.seed })
  })
  afterEach(() => rmSync(dir, { recursive: true }))

  const build = (outDir: string) =>
    buildClip({
      checkpointDir,
      outDir,
      name: 'tiny',
      source: { repository: 'none', revision: 'seed', generated: true },
      license: 'MIT',
      precision: 'fp32',
    })

  const edit = (file: string, pointer: string, value: unknown) => {
    const path = join(checkpointDir, file)
    const json = JSON.parse(readFileSync(path, 'utf8'))
    Value.Pointer.Set(json, pointer, value)
    writeFileSync(path, JSON.stringify(json))
  }

  it('gives the embeddings and probabilities of the reference implementation', async () => {
    await build(join(dir, 'built'))
    const manifest = JSON.parse(readFileSync(join(dir, 'built', 'manifest.json'), 'utf8'))
    assert.deepEqual([...Value.Errors(ClassifierManifest, manifest)], [])
    const outputs = await classify(join(dir, 'built'))
    assertClose(outputs[imageClassifier.embedding]!, golden.image_embeddings, tolerance.embedding)
    assertClose(outputs[imageClassifier.genres]!, golden.genre_probabilities, tolerance.probability)
    assertClose(outputs[imageClassifier.styles]!, golden.style_probabilities, tolerance.probability)
  })

  it('embeds texts as the reference implementation does', async () => {
    const checkpoint = openCheckpoint(checkpointDir)
    const embedder = await openTextEmbedder(checkpointDir, checkpoint, readClipConfig(checkpointDir))
    try {
      for (const { text, embedding } of golden.texts) {
        assertClose(await embedder.embed(text), embedding, tolerance.embedding)
      }
      const long = 'word '.repeat(80)
      await assert.rejects(embedder.embed(long), /becomes 322 tokens, the checkpoint takes at most 77/)
    } finally {
      await embedder.close()
      checkpoint.close()
    }
  })

  it('may have an old configuration, whose end token is wrong', async () => {
    edit('config.json', '/text_config/eos_token_id', 2)
    await build(join(dir, 'built'))
    const outputs = await classify(join(dir, 'built'))
    assertClose(outputs[imageClassifier.styles]!, golden.style_probabilities, tolerance.probability)
  })

  it('may use exact GELU', async () => {
    edit('config.json', '/vision_config/hidden_act', 'gelu')
    await build(join(dir, 'built'))
    const outputs = await classify(join(dir, 'built'))
    assertClose(outputs[imageClassifier.embedding]!, golden.gelu_image_embeddings, tolerance.embedding)
  })

  it('is refused with the field or tensor, what it must be and what it is', async () => {
    const refused = join(dir, 'refused')
    edit('config.json', '/vision_config/num_hidden_layers', 3)
    await assert.rejects(build(refused), /tensor vision_model\.encoder\.layers\.2\.\S+ is missing, expected \[48/)
    edit('config.json', '/vision_config/hidden_act', 'relu')
    await assert.rejects(build(refused), /vision_config\.hidden_act must be .*quick_gelu.*found "relu"/)
    edit('config.json', '/vision_config/hidden_act', 'gelu')
    edit('preprocessor_config.json', '/crop_size', 32)
    await assert.rejects(build(refused), /crop_size is 32, expected config\.json's image_size 64/)
    assert.equal(existsSync(refused), false)
  })
})

/** Both of the golden pictures in one batch. */
async function classify(model: string): Promise<Record<string, Float32Array>> {
  const graph = await openGraph(join(model, imageClassifier.file), { executionProviders: ['cpu'] })
  try {
    const data = Float32Array.from({ length: 2 * 3 * side * side }, (_, i) => ((i * 7919) % 1009) / 252 - 2)
    const outputs = await graph.run({
      [imageClassifier.pixelValues]: { type: 'float32', data, dims: [2, 3, side, side] },
    })
    return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]))
  } finally {
    await graph.release()
  }
}

function assertClose(found: Float32Array, base64: string, limit: number): void {
  const expected = new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer)
  assert.equal(found.length, expected.length)
  const worst = Math.max(...found.map((value, i) => Math.abs(value - expected[i]!)))
  assert.ok(worst <= limit, `differs by ${worst}, expected at most ${limit}`)
}
