import { createHash } from 'node:crypto'
import { type ImageVersion, objectUrl } from '#shared/contract/key.ts'
import type { Analysis, Findings } from '#shared/db/jobs.ts'
import { readWav } from '../audio/wav.ts'
import type { Classification } from '../classifier/classifier.ts'
import { type Making, readComment } from './music-comment.ts'

interface Model {
  name: string
  source: { revision: string }
}

type Music = Pick<
  Analysis,
  | 'prompt'
  | 'seed'
  | 'musicModel'
  | 'musicModelRevision'
  | 'durationSeconds'
  | 'sampleRate'
  | 'musicBytes'
  | 'musicSha256'
>

/** Throws when there are fewer styles than the record has columns. */
export function findingsOf({ genre, styles, embedding }: Classification, model: Model): Findings {
  const [one, two, three, four, five] = styles
  if (!one || !two || !three || !four || !five) throw new Error(`expected five styles, found ${styles.length}`)
  return {
    genre: genre.name,
    genreScore: genre.score,
    style1: one.name,
    style2: two.name,
    style3: three.name,
    style4: four.name,
    style5: five.name,
    score1: one.score,
    score2: two.score,
    score3: three.score,
    score4: four.score,
    score5: five.score,
    embedding,
    classifierModel: model.name,
    classifierModelRevision: model.source.revision,
  }
}

/**
 * What the record says of a stored WAV, in the file's own words. One of the versions that wrote no comment tells its length
 * alone; the rest is then of `made`, what the try at hand has made.
 */
export function musicOf(wav: Buffer, made: Making & { seconds: number; sampleRate: number }): Music {
  const file = readWav(wav)
  const { seconds, sampleRate } = file ?? made
  const { prompt, seed, model, revision } = readComment(file?.comment ?? '') ?? made
  return {
    prompt,
    seed,
    musicModel: model,
    musicModelRevision: revision,
    durationSeconds: seconds,
    sampleRate,
    musicBytes: wav.length,
    musicSha256: createHash('sha256').update(wav).digest('hex'),
  }
}

/** The record of one finished take. */
export function analysisOf({
  image: { bucket, key, version },
  region,
  musicKey,
  music,
  findings,
  ...more
}: Pick<Analysis, 'take'> &
  /** Milliseconds. */
  Pick<Analysis, 'queueMs' | 'fetchMs' | 'classifyMs' | 'generateMs' | 'storeMs' | 'totalMs'> & {
    image: ImageVersion
    region: string
    musicKey: string
    music: Music
    findings: Findings
  }): Analysis {
  return {
    ...findings,
    imageUrl: objectUrl({ bucket, region, key }),
    musicUrl: objectUrl({ bucket, region, key: musicKey }),
    imageKey: key,
    imageVersion: version,
    ...music,
    ...more,
  }
}
