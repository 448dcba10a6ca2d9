import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import Value from 'typebox/value'
import { imageClassifier } from '#shared/model/graph.ts'
import type { Precision } from '#shared/model/manifest.ts'
import { ClassifierManifest } from '#shared/model/manifest.ts'
import { openGraph } from '../../../../services/consumer/onnx/graph.ts'
import { buildTowers } from '../../../../services/models/classifier/build-towers.ts'
import { openTextEmbedder } from '../../../../services/models/classifier/label-embeddings.ts'
import { type Labels, readLabels } from '../../../../services/models/classifier/labels.ts'
import { writeTinyClip } from '../../../../services/models/classifier/tiny-clip.ts'
import { openTowers, type Towers } from '../../../../services/models/classifier/towers.ts'
import { openCheckpoint } from '../../../../services/models/safetensors.ts'
import clip from '../../../golden/clip.json' with { type: 'json' }
import siglip from '../../../golden/siglip.json' with { type: 'json' }
import { tolerance } from '../../../golden/tolerance.ts'
import { writeTinySiglip } from './tiny-siglip.ts'

const side = 64

let dir: string
let checkpointDir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'towers-'))
  checkpointDir = join(dir, 'checkpoint')
})
afterEach(() => rmSync(dir, { recursive: true }))

for (const { name, golden, write, tooLong } of [
  { name: 'CLIP', golden: clip, write: writeTinyClip, tooLong: /becomes 322 tokens, the checkpoint takes at most 77/ },
  { name: 'SigLIP', golden: siglip, write: writeTinySiglip, tooLong: /becomes \d+ tokens, the checkpoint .* most 64/ },
]) {
  describe(`a ${name} checkpoint`, () => {
    beforeEach(() => write(checkpointDir, { seed: golden.seed }))

    it('gives the embeddings and probabilities of the reference implementation', async () => {
      await build(join(dir, 'built'))
      const manifest = JSON.parse(readFileSync(join(dir, 'built', 'manifest.json'), 'utf8'))
      assert.deepEqual([...Value.Errors(ClassifierManifest, manifest)], [])
      const outputs = await classify(join(dir, 'built'))
      assertClose(outputs[imageClassifier.embedding]!, golden.image_embeddings, tolerance.embedding)
      assertClose(outputs[imageClassifier.genres]!, golden.genre_probabilities, tolerance.probability)
      assertClose(outputs[imageClassifier.styles]!, golden.style_probabilities, tolerance.probability)
    })

    it('embeds texts as the reference implementation does', () =>
      withTowers(async (towers) => {
        const embedder = await openTextEmbedder(towers)
        try {
          for (const { text, embedding } of golden.texts) {
            assertClose(await embedder.embed(text), embedding, tolerance.embedding)
          }
          await assert.rejects(embedder.embed('word '.repeat(80)), tooLong)
        } finally {
          await embedder.close()
        }
      }))

    for (const precision of ['fp16', 'int8', 'int4'] as const) {
      it(`may be built in ${precision}, close to float32`, async () => {
        await build(join(dir, 'built'), { precision })
        const { [imageClassifier.embedding]: found } = await classify(join(dir, 'built'))
        const expected = floats(golden.image_embeddings)
        const cosine = found!.reduce((sum, value, i) => sum + value * expected[i]!, 0) / 2
        assert.ok(cosine >= tolerance.embeddingCosine[precision], `the cosine is ${cosine}`)
      })
    }

    it('gives probabilities that sum to 1 at every temperature', async () => {
      for (const temperature of [0.001, 0.07, 100]) {
        await build(join(dir, 'built'), { labels: { ...readLabels(), temperature } })
        const outputs = await classify(join(dir, 'built'))
        for (const [set, size] of [
          [imageClassifier.genres, 10],
          [imageClassifier.styles, 27],
        ] as const) {
          for (const start of [0, size]) {
            const row = outputs[set]!.subarray(start, start + size)
            assert.ok(Math.abs(row.reduce((sum, value) => sum + value, 0) - 1) < 1e-5)
          }
        }
      }
    })

    it('is refused with the field or tensor, what it must be and what it is', async () => {
      const refused = join(dir, 'refused')
      edit('config.json', '/vision_config/num_hidden_layers', 3)
      await assert.rejects(build(refused), /tensor vision_model\.encoder\.layers\.2\.\S+ is missing, expected \[48/)
      edit('config.json', '/vision_config/hidden_act', 'relu')
      await assert.rejects(build(refused), /vision_config\.hidden_act must be .*quick_gelu.*found "relu"/)
      edit('config.json', '/vision_config/hidden_act', 'gelu')
      edit('config.json', '/text_config/num_attention_heads', 5)
      await assert.rejects(build(refused), /text_config\.hidden_size is \d+, expected a multiple of its 5 heads/)
      edit('config.json', '/model_type', 'blip')
      await assert.rejects(build(refused), /model_type must be .*clip.*siglip.*found "blip"/)
      assert.equal(existsSync(refused), false)
    })
  })
}

describe('a CLIP checkpoint', () => {
  beforeEach(() => writeTinyClip(checkpointDir, { seed: clip.seed }))

  it('may have an old configuration, whose end token is wrong', async () => {
    edit('config.json', '/text_config/eos_token_id', 2)
    await build(join(dir, 'built'))
    const outputs = await classify(join(dir, 'built'))
    assertClose(outputs[imageClassifier.styles]!, clip.style_probabilities, tolerance.probability)
  })

  it('may use exact GELU', async () => {
    edit('config.json', '/vision_config/hidden_act', 'gelu')
    await build(join(dir, 'built'))
    const outputs = await classify(join(dir, 'built'))
    assertClose(outputs[imageClassifier.embedding]!, clip.gelu_image_embeddings, tolerance.embedding)
  })
})

describe('a SigLIP checkpoint', () => {
  beforeEach(() => writeTinySiglip(checkpointDir, { seed: siglip.seed }))

  it('reads texts in lower case, without punctuation, filled up with its own token', () =>
    withTowers((towers) => {
      for (const [i, { text }] of siglip.texts.entries()) assert.deepEqual(towers.tokenize(text), siglip.token_ids[i])
    }))

  it('is refused when its tokenizer, its pooling or its widths are others', async () => {
    const refused = join(dir, 'refused')
    edit('tokenizer_config.json', '/pad_token', '<none>')
    await assert.rejects(build(refused), /tokenizer_config\.json: pad_token <none> is not in tokenizer\.json/)
    edit('tokenizer_config.json', '/pad_token', { content: '</s>' })
    edit('tokenizer_config.json', '/padding_side', 'left')
    await assert.rejects(build(refused), /padding_side must be .*right.*found "left"/)
    edit('tokenizer_config.json', '/padding_side', 'right')
    edit('config.json', '/vision_config/vision_use_head', false)
    await assert.rejects(build(refused), /vision_config\.vision_use_head must be .*found false/)
    edit('config.json', '/vision_config/vision_use_head', true)
    edit('config.json', '/text_config/projection_size', 32)
    await assert.rejects(build(refused), /projection_size is 32, expected the image tower's width 48/)
    assert.equal(existsSync(refused), false)
  })
})

function build(outDir: string, options: { labels?: Labels; precision?: Precision } = {}): Promise<void> {
  return buildTowers({
    checkpointDir,
    outDir,
    name: 'tiny',
    source: { repository: 'none', revision: 'seed', generated: true },
    license: 'MIT',
    precision: 'fp32',
    ...options,
  })
}

async function withTowers(body: (towers: Towers) => void | Promise<void>): Promise<void> {
  const checkpoint = openCheckpoint(checkpointDir)
  try {
    await body(openTowers(checkpointDir, checkpoint))
  } finally {
    checkpoint.close()
  }
}

function edit(file: string, pointer: string, value: unknown): void {
  const path = join(checkpointDir, file)
  const json = JSON.parse(readFileSync(path, 'utf8'))
  Value.Pointer.Set(json, pointer, value)
  writeFileSync(path, JSON.stringify(json))
}

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
  const expected = floats(base64)
  assert.equal(found.length, expected.length)
  const worst = Math.max(...found.map((value, i) => Math.abs(value - expected[i]!)))
  assert.ok(worst <= limit, `differs by ${worst}, expected at most ${limit}`)
}

function floats(base64: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer)
}
