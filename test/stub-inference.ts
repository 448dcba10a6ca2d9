import type { Inference } from '../services/consumer/pipeline/music-maker.ts'
import shipped from '../services/consumer/pipeline/prompt.json' with { type: 'json' }
import { type PromptWords, readPromptWords } from '../services/consumer/pipeline/prompt-words.ts'

export const promptWords: PromptWords = readPromptWords(shipped)

const genres = Object.keys(promptWords.genres)
const styles = Object.keys(promptWords.styles)
const sampleRate = 32_000

/** Stands where the models do and costs nothing: the first labels for every picture, a square wave by the seed. */
export function createStubInference(): Inference {
  const source = { repository: 'stub', revision: '0', generated: true }
  return {
    classifierManifest: {
      name: 'stub-classifier',
      source,
      classifier: {
        graphs: [
          {
            file: 'stub.onnx',
            image: {
              resize: 32,
              keepAspect: true,
              crop: 32,
              resample: 'bilinear',
              mean: [0.5, 0.5, 0.5],
              deviation: [0.5, 0.5, 0.5],
            },
          },
        ],
        genres,
        styles,
        embeddingWidth: 4,
      },
    },
    musicManifest: { name: 'stub-music', source, music: { sampleRate } },
    ping: async () => {},
    classify: async () => ({
      genre: { name: genres[0]!, score: 0.5 },
      styles: styles.slice(0, 5).map((name, index) => ({ name, score: 0.3 - 0.05 * index })),
      embedding: new Float32Array([0.5, 0.5, 0.5, 0.5]),
    }),
    compose: async ({ seed, seconds }, { onProgress }) => {
      const halfPeriod = 20 + (seed % 200)
      onProgress(1)
      return [
        Float32Array.from({ length: Math.round(seconds * sampleRate) }, (_, i) =>
          Math.floor(i / halfPeriod) % 2 ? 0.25 : -0.25,
        ),
      ]
    },
  }
}
