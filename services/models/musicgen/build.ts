import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Type from 'typebox'
import { type MusicManifest, modelFormat, tokenizerFile } from '#shared/model/manifest.ts'
import { createTextTokenizer } from '#shared/text-tokenizer.ts'
import type { BuildOptions } from '../build-options.ts'
import { CheckpointError } from '../checkpoint-error.ts'
import { readCheckpointJson } from '../checkpoint-json.ts'
import { writeModelFolder } from '../model-folder.ts'
import { openCheckpoint } from '../safetensors.ts'
import { writeAudioDecoder } from './audio-decoder.ts'
import { codebookDelays, type MusicgenConfig, readMusicgenConfig } from './config.ts'
import { writeDecoder } from './decoder.ts'
import { writeTextEncoder } from './text-encoder.ts'

/**
 * Builds a MusicGen checkpoint (config.json, generation_config.json, tokenizer.json and safetensors, as Hugging Face
 * lays them out) into the model folder `outDir`: three graphs, the tokenizer and the manifest. Throws CheckpointError.
 */
export function buildMusicgen(
  options: BuildOptions & {
    /** Adds the decoder's output `logits`, which only tests read. */
    withLogits?: boolean
  },
): void {
  const { checkpointDir, outDir, name, source, license, precision, withLogits = false } = options
  const config = readMusicgenConfig(checkpointDir)
  const tokenizer = readTokenizer(join(checkpointDir, tokenizerFile), config.text_encoder)
  const { text_encoder: text, decoder, audio_encoder: audio, generation } = config
  const guided = generation.guidance_scale > 1
  const checkpoint = openCheckpoint(checkpointDir)
  try {
    writeModelFolder(outDir, (folder) => {
      writeTextEncoder(folder, { checkpoint, text, decoder, precision: textPrecision[precision] })
      writeDecoder(folder, { checkpoint, config: decoder, guided, precision, withLogits })
      writeAudioDecoder(folder, { checkpoint, audio, decoder })
      const copy = folder.create(tokenizerFile)
      copy.write(tokenizer)
      copy.close()
      return {
        format: modelFormat,
        kind: 'musicgen',
        name,
        source,
        license,
        precision,
        builtAt: new Date().toISOString(),
        music: describe(config, guided),
        files: folder.files,
      } satisfies MusicManifest
    })
  } finally {
    checkpoint.close()
  }
}

/** T5's states overflow float16 and suffer in 4 bits, and it runs but once. EnCodec's decoder is always float32. */
const textPrecision = { fp32: 'fp32', fp16: 'fp32', int8: 'int8', int4: 'int8' } as const

function describe(config: MusicgenConfig, guided: boolean): MusicManifest['music'] {
  const { text_encoder: text, decoder, audio_encoder: audio, generation } = config
  return {
    layers: decoder.num_hidden_layers,
    heads: decoder.num_attention_heads,
    headWidth: decoder.hidden_size / decoder.num_attention_heads,
    codebooks: decoder.num_codebooks,
    codebookSize: decoder.vocab_size,
    delays: codebookDelays(decoder),
    frameRate: audio.sampling_rate / audio.upsampling_ratios.reduce((product, ratio) => product * ratio, 1),
    sampleRate: audio.sampling_rate,
    channels: decoder.audio_channels,
    guided,
    guidanceScale: generation.guidance_scale,
    topK: generation.top_k,
    temperature: generation.temperature,
    maxTextTokens: text.n_positions,
    textPadToken: text.pad_token_id,
  }
}

/** The file as it is, after a look at whether its tokens are the text encoder's. */
function readTokenizer(path: string, text: MusicgenConfig['text_encoder']): Buffer {
  const json = readCheckpointJson(path, Type.Object({}))
  let empty: number[]
  let highest: number
  try {
    const tokenizer = createTextTokenizer(json, text.n_positions)
    empty = tokenizer.encode('').ids
    highest = tokenizer.highestId
  } catch (cause) {
    throw new CheckpointError(`${path}: is no tokenizer: ${(cause as Error).message}`, { cause })
  }
  if (empty.length === 0) {
    throw new CheckpointError(`${path}: post_processor adds no token to an empty text, expected the end token`)
  }
  if (highest >= text.vocab_size) {
    const size = `config.json's text_encoder.vocab_size ${text.vocab_size}`
    throw new CheckpointError(`${path}: has a token ${highest}, expected less than ${size}`)
  }
  return readFileSync(path)
}
