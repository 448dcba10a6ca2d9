import { readFile } from 'node:fs/promises'
import Type, { type Static } from 'typebox'
import { Settings } from 'typebox/system'
import Value from 'typebox/value'
import { ConfigError } from '#shared/config.ts'

const maxPhraseWords = 6
const maxFaults = 1000

const Phrase = Type.Refine(
  Type.String({ maxLength: 60 }),
  (text) => new RegExp(`^\\S+( \\S+){0,${maxPhraseWords - 1}}$`).test(text),
  () => `must be one to ${maxPhraseWords} words with single spaces between them`,
)
const Phrases = Type.Array(Phrase, { minItems: 1, maxItems: 10 })
const Rgb = Type.Refine(
  Type.String(),
  (text) => /^#[0-9a-f]{6}$/i.test(text),
  () => 'must be a color such as #1a2b3c',
)
const Share = Type.Number({ minimum: 0, maximum: 1 })
const Bpm = Type.Number({ minimum: 40, maximum: 208, description: 'Beats per minute' })

const closed = { additionalProperties: false }

const Bands = Type.Array(Type.Object({ from: Type.Number(), words: Phrase }, closed), {
  minItems: 1,
  description: 'The words of the highest `from` that the value reaches; below all, those of the lowest',
})

/** The words of the music prompts, and the rules of weight that go with them. */
export const PromptWords = Type.Object(
  {
    max_words: Type.Integer({ minimum: 24, maximum: 200, description: 'Words in a prompt' }),
    blend: Type.Object(
      {
        min_relative_score: Type.Number({
          minimum: 0,
          maximum: 1,
          description: 'A further style joins when its score is at least this part of the first style’s',
        }),
        instruments: Type.Integer({ minimum: 1, maximum: 8, description: 'Instruments of the styles together' }),
        style_moods: Type.Integer({ minimum: 1, maximum: 8, description: 'Moods of the styles together' }),
        color_moods: Type.Integer({ minimum: 0, maximum: 3, description: 'Moods of the dominant colors' }),
      },
      closed,
    ),
    tempo: Type.Object(
      {
        energy: Type.Object(
          { brightness: Share, contrast: Share, colorfulness: Share },
          {
            ...closed,
            description: 'Weights of the traits; their sum says how far up the range of BPM the tempo lies',
          },
        ),
        words: Bands,
      },
      closed,
    ),
    traits: Type.Object({ brightness: Bands, contrast: Bands, warmth: Bands, colorfulness: Bands }, closed),
    colors: Type.Array(Type.Object({ name: Type.String(), rgb: Rgb, mood: Phrase }, closed), { minItems: 1 }),
    genres: Type.Record(
      Type.String(),
      Type.Object(
        {
          form: Phrase,
          instruments: Phrases,
          moods: Phrases,
          pace: Type.Number({ minimum: 0.5, maximum: 2, description: 'Factor of the tempo' }),
        },
        closed,
      ),
    ),
    styles: Type.Record(
      Type.String(),
      Type.Object(
        {
          era: Phrase,
          music: Phrase,
          instruments: Phrases,
          moods: Phrases,
          texture: Phrase,
          bpm: Type.Tuple([Bpm, Bpm], { description: 'From the calmest picture to the most energetic' }),
        },
        closed,
      ),
    ),
  },
  closed,
)
export type PromptWords = Static<typeof PromptWords>

/** The words in a file, or those that come with Promenade. Throws ConfigError. */
export async function loadPromptWords(file: string | undefined): Promise<PromptWords> {
  let json: unknown
  try {
    json = JSON.parse(await readFile(file ?? new URL('./prompt.json', import.meta.url), 'utf8'))
  } catch (error) {
    throw new ConfigError([`PROMPT_FILE must name a file of JSON: ${(error as Error).message}`])
  }
  return readPromptWords(json)
}

/** Checks parsed JSON to be prompt words. Throws ConfigError with every fault at once. */
export function readPromptWords(json: unknown): PromptWords {
  if (Value.Check(PromptWords, json)) return json
  throw new ConfigError(findFaults(json).map((fault) => `PROMPT_FILE: ${fault}`))
}

/** The labels of a classifier that have no words, as `genres: x` or `styles: y`; empty when all have. */
export function checkPromptWords(
  words: PromptWords,
  labels: { genres: readonly string[]; styles: readonly string[] },
): string[] {
  return (['genres', 'styles'] as const).flatMap((set) =>
    labels[set].filter((label) => !Object.hasOwn(words[set], label)).map((label) => `${set}: ${label}`),
  )
}

function findFaults(json: unknown): string[] {
  const { maxErrors } = Settings.Get()
  Settings.Set({ maxErrors: maxFaults }) // TypeBox would stop at 8
  try {
    return Value.Errors(PromptWords, json)
      .filter(({ keyword }) => keyword !== 'boolean') // says again that a property is unknown
      .map(({ instancePath, message, params }) =>
        [instancePath || 'the file', message, 'additionalProperties' in params ? params.additionalProperties : '']
          .filter(String)
          .join(' '),
      )
  } finally {
    Settings.Set({ maxErrors })
  }
}
