import { objectUrl } from '#shared/contract/key.ts'
import type { ImageUploaded } from '#shared/contract/queue-message.ts'
import type { Analysis } from '#shared/db/jobs.ts'
import type { Classification } from '../classifier/classifier.ts'

interface Model {
  name: string
  source: { revision: string }
}

/** The record of one finished take. Throws when there are fewer styles than it has columns. */
export function analysisOf({
  upload,
  take,
  region,
  musicKey,
  classification: { genre, styles, embedding },
  models,
  timings,
  ...music
}: {
  upload: ImageUploaded
  take: number
  region: string
  musicKey: string
  classification: Classification
  prompt: string
  seed: number
  durationSeconds: number
  sampleRate: number
  musicBytes: number
  musicSha256: string
  models: { classifier: Model; music: Model }
  /** Milliseconds. */
  timings: Pick<Analysis, 'queueMs' | 'fetchMs' | 'classifyMs' | 'generateMs' | 'storeMs' | 'totalMs'>
}): Analysis {
  const [one, two, three, four, five] = styles
  if (!one || !two || !three || !four || !five) throw new Error(`expected five styles, found ${styles.length}`)
  const { bucket, key, version } = upload
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
    imageUrl: objectUrl({ bucket, region, key }),
    musicUrl: objectUrl({ bucket, region, key: musicKey }),
    imageKey: key,
    imageVersion: version,
    take,
    musicModel: models.music.name,
    musicModelRevision: models.music.source.revision,
    classifierModel: models.classifier.name,
    classifierModelRevision: models.classifier.source.revision,
    ...music,
    ...timings,
  }
}
