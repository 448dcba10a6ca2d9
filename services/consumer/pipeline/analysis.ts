import { type ImageVersion, objectUrl } from '#shared/contract/key.ts'
import type { Analysis, Findings } from '#shared/db/jobs.ts'
import type { Classification } from '../classifier/classifier.ts'

interface Model {
  name: string
  source: { revision: string }
}

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

/** The record of one finished take. */
export function analysisOf({
  image: { bucket, key, version },
  region,
  musicKey,
  musicModel,
  findings,
  ...more
}: Pick<Analysis, 'take' | 'prompt' | 'seed' | 'durationSeconds' | 'sampleRate' | 'musicBytes' | 'musicSha256'> &
  /** Milliseconds. */
  Pick<Analysis, 'queueMs' | 'fetchMs' | 'classifyMs' | 'generateMs' | 'storeMs' | 'totalMs'> & {
    image: ImageVersion
    region: string
    musicKey: string
    musicModel: Model
    findings: Findings
  }): Analysis {
  return {
    ...findings,
    imageUrl: objectUrl({ bucket, region, key }),
    musicUrl: objectUrl({ bucket, region, key: musicKey }),
    imageKey: key,
    imageVersion: version,
    musicModel: musicModel.name,
    musicModelRevision: musicModel.source.revision,
    ...more,
  }
}
