import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import Type, { type Static } from 'typebox'
import Value from 'typebox/value'

const LabelSet = Type.Object(
  {
    /** Sentences with `{}` where the text of a label goes; the label's embedding is the mean over all of them. */
    phrasings: Type.Array(Type.String({ pattern: '\\{\\}' }), { minItems: 1 }),
    labels: Type.Array(
      Type.Object(
        {
          /** What results say. */
          name: Type.String({ minLength: 1 }),
          /** What the text tower reads. */
          text: Type.String({ minLength: 1 }),
          /** What a ready-made classifier calls it, if not by its name. */
          class: Type.Optional(Type.String({ minLength: 1 })),
        },
        { additionalProperties: false },
      ),
      { minItems: 1 },
    ),
  },
  { additionalProperties: false },
)
export type LabelSet = Static<typeof LabelSet>

const Labels = Type.Object(
  {
    /**
     * Divides what the softmax over each set gets: cosine similarities, or the logits of a ready-made classifier. null
     * takes the checkpoint's own, exp(-logit_scale) or 1.
     */
    temperature: Type.Union([Type.Null(), Type.Number({ minimum: 1e-3, maximum: 1e3 })]),
    genres: LabelSet,
    styles: LabelSet,
  },
  { additionalProperties: false },
)
export type Labels = Static<typeof Labels>

/** Reads a labels file, by default WikiArt's labels beside this module. Throws one line that names the faulty field. */
export function readLabels(path: string | URL = new URL('labels.json', import.meta.url)): Labels {
  const labels = parse(path)
  if (!Value.Check(Labels, labels)) {
    const [error] = Value.Errors(Labels, labels)
    throw new Error(`${path}: ${error?.instancePath || 'the file'} ${error?.message}`)
  }
  const styles = labels.styles.labels.length
  if (styles < 5) throw new Error(`${path}: /styles/labels has ${styles}, expected at least 5`)
  for (const set of ['genres', 'styles'] as const) {
    const names = labels[set].labels.map(({ name }) => name)
    const twice = names.find((name, i) => names.indexOf(name) !== i)
    if (twice) throw new Error(`${path}: /${set}/labels has the name ${twice} twice, expected every name once`)
  }
  return labels
}

/** The labels beside a checkpoint in its `labels.json`, if it has one, else WikiArt's. */
export function labelsFor(checkpointDir: string): Labels {
  const path = join(checkpointDir, 'labels.json')
  return existsSync(path) ? readLabels(path) : readLabels()
}

/** Every sentence about a label. */
export function sentences({ phrasings }: LabelSet, { text }: { text: string }): string[] {
  return phrasings.map((phrasing) => phrasing.replaceAll('{}', () => text))
}

function parse(path: string | URL): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new Error(`${path}: cannot be read: ${(cause as Error).message}`, { cause })
  }
}
