import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { writeModelFolder } from '../../../../services/models/model-folder.ts'
import { writeAudioDecoder } from '../../../../services/models/musicgen/audio-decoder.ts'
import { readMusicgenConfig } from '../../../../services/models/musicgen/config.ts'
import { openCheckpoint } from '../../../../services/models/safetensors.ts'
import goldens from '../../../golden/musicgen.json' with { type: 'json' }
import { tolerance } from '../../../golden/tolerance.ts'
import { assertDecibels, codebooks, createGoldenModel, edit, every, floats } from './golden-model.ts'

const { codes } = goldens.cases.mono

describe('MusicGen’s audio decoder', () => {
  let model: ReturnType<typeof createGoldenModel>
  before(() => {
    model = createGoldenModel()
  })
  after(() => model.remove())

  it('turns codes into the sound of the reference, also clips too short to reflect', async () => {
    for (const { frames, pcm } of goldens.short_pcm) {
      const clip = codes[0]!.map((row) => row.slice(0, frames))
      const found = await model.decodeAudio(clip)
      assert.equal(found.length, frames * 640)
      assertDecibels(every(goldens.short_pcm_stride, found), floats(pcm), tolerance.pcmDecibels)
    }
  })

  it('pads and trims as its config says', async () => {
    for (const [i, { changes, pcm }] of goldens.audio_variants.entries()) {
      const variant = model.copyCheckpoint(`variant-${i}`)
      edit(variant, 'config.json', (config) => Object.assign(config.audio_encoder, changes))
      model.build(variant, `built-variant-${i}`)
      const clip = codes[0]!.map((row) => row.slice(0, 4))
      const found = await model.decodeAudio(clip, `built-variant-${i}`)
      assertDecibels(every(goldens.short_pcm_stride, found), floats(pcm), tolerance.pcmDecibels)
    }
  })

  it('decodes stereo codebooks, left and right interleaved, as two tracks', async () => {
    const { audio_encoder: audio, decoder } = readMusicgenConfig(model.checkpointDir)
    const stereo = { ...decoder, num_codebooks: 2 * codebooks, audio_channels: 2 as const }
    const checkpoint = openCheckpoint(model.checkpointDir)
    writeModelFolder(join(model.dir, 'stereo'), (folder) => {
      writeAudioDecoder(folder, { checkpoint, audio, decoder: stereo })
      return {}
    })
    checkpoint.close()
    const [left, right] = codes.map((clip) => clip.map((row) => row.slice(0, 5)))
    const both = await model.decodeAudio(
      left!.flatMap((row, k) => [row, right![k]!]),
      'stereo',
    )
    const apart = [...(await model.decodeAudio(left!)), ...(await model.decodeAudio(right!))]
    assertDecibels(both, Float32Array.from(apart), 100)
  })
})
