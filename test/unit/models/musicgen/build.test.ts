import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import Value from 'typebox/value'
import { MusicManifest } from '#shared/model/manifest.ts'
import { openCheckpoint, writeSafetensors } from '../../../../services/models/safetensors.ts'
import { type Config, createGoldenModel, edit } from './golden-model.ts'

describe('a MusicGen checkpoint', () => {
  let model: ReturnType<typeof createGoldenModel>
  before(() => {
    model = createGoldenModel()
  })
  after(() => model.remove())

  it('is described by a manifest', () => {
    assert.deepEqual([...Value.Errors(MusicManifest, model.manifest)], [])
    const files = readdirSync(join(model.dir, 'built')).filter((name) => name !== 'manifest.json')
    assert.deepEqual(Object.keys(model.manifest.files).sort(), files.sort())
    const { frameRate, sampleRate, channels, guided, topK, maxTextTokens } = model.manifest.music
    assert.deepEqual(
      { frameRate, sampleRate, channels, guided, topK, maxTextTokens },
      { frameRate: 50, sampleRate: 32000, channels: 1, guided: true, topK: 250, maxTextTokens: 512 },
    )
  })

  it('builds the same from weights under the older names of weight normalisation', async () => {
    const older = model.copyCheckpoint('older')
    const checkpoint = openCheckpoint(model.checkpointDir)
    const tensors = checkpoint.names.map((name) => {
      const dims = checkpoint.dims(name)!
      const renamed = name
        .replace('parametrizations.weight.original0', 'weight_g')
        .replace('parametrizations.weight.original1', 'weight_v')
      return { name: renamed, dims, data: checkpoint.read(name, dims) }
    })
    checkpoint.close()
    writeSafetensors(join(older, 'model.safetensors'), tensors)
    model.build(older, 'built-older')
    const { files } = JSON.parse(readFileSync(join(model.dir, 'built-older', 'manifest.json'), 'utf8'))
    assert.deepEqual(files, model.manifest.files)
  })

  it('builds the same from a configuration saved by transformers 4.57, which leaves out what is usual', () => {
    const resaved = model.copyCheckpoint('resaved')
    edit(resaved, 'config.json', (config) => delete config.text_encoder.pad_token_id)
    model.build(resaved, 'built-resaved')
    const { files } = JSON.parse(readFileSync(join(model.dir, 'built-resaved', 'manifest.json'), 'utf8'))
    assert.deepEqual(files, model.manifest.files)
  })

  it('is refused, with the reason, when it is of another architecture', () => {
    const cases: [(config: Config) => void, RegExp][] = [
      [(config) => Object.assign(config, { model_type: 'bert' }), /config\.json: model_type .*found "bert"/],
      [(config) => delete config.decoder.num_codebooks, /decoder .*num_codebooks/],
      [(config) => Object.assign(config.text_encoder, { feed_forward_proj: 'gated-gelu' }), /feed_forward_proj/],
      [(config) => Object.assign(config.decoder, { num_attention_heads: 5 }), /hidden_size is 32, expected a multiple/],
      [
        (config) => Object.assign(config.decoder, { ffn_dim: 65 }),
        /layers\.0\.fc1\.weight is \[64,32\], expected \[65,32\]/,
      ],
    ]
    for (const [i, [change, message]] of cases.entries()) {
      const changed = model.copyCheckpoint(`refused-${i}`)
      edit(changed, 'config.json', change)
      assert.throws(
        () => model.build(changed, 'refused'),
        (error: Error) => error.name === 'CheckpointError' && message.test(error.message),
      )
    }
    assert.ok(!readdirSync(model.dir).some((name) => name === 'refused' || name.startsWith('.')))
  })
})
