import { errorCodes } from '#shared/contract/error-code.ts'
import type { Result } from '#shared/contract/result.ts'
import type { FoundJob } from '#shared/db/results.ts'

type Shown =
  | 'id'
  | 'imageKey'
  | 'version'
  | 'versionId'
  | 'take'
  | 'state'
  | 'stage'
  | 'progress'
  | 'etaSeconds'
  | 'attempt'
  | 'errorCode'
  | 'errorMessage'
  | 'errorRetryable'
  | 'createdAt'
  | 'startedAt'
  | 'finishedAt'
  | 'updatedAt'

/** What is shown of a job, and its analysis once it has one. */
export interface ShownJob {
  job: Pick<FoundJob['job'], Shown>
  analysis: FoundJob['analysis']
}

/** Changes with everything that a result shows of a job. */
export function revisionOf({
  id,
  attempt,
  state,
  updatedAt,
}: Pick<FoundJob['job'], 'id' | 'attempt' | 'state' | 'updatedAt'>): string {
  return `${id}-${attempt}-${state}-${updatedAt.getTime()}`
}

/** Whether `known`, a revision or a list of entity tags, has a later one of the same job. */
export function isOutdated(revision: string, known: string): boolean {
  const [id, , , time] = revision.split('-')
  const later = (tag: RegExpMatchArray) => tag[1] === id && Number(tag[2]) > Number(time)
  return Array.from(known.matchAll(/([0-9a-f]{32})-\d+-[a-z]+-(\d+)/g)).some(later)
}

/** A job as the API answers it. */
export function resultOf({ job, analysis }: ShownJob): Result {
  return {
    key: job.imageKey,
    version: job.version,
    take: job.take,
    status: job.state,
    progress: job.progress,
    attempt: job.attempt,
    created_at: job.createdAt.toISOString(),
    ...(job.startedAt && { started_at: job.startedAt.toISOString() }),
    ...(job.finishedAt && { finished_at: job.finishedAt.toISOString() }),
    ...(job.stage && { stage: job.stage }),
    ...(job.etaSeconds !== null && { eta_seconds: job.etaSeconds }),
    ...(job.state === 'succeeded' && analysis && analysisOf(analysis)),
    ...((job.state === 'failed' || job.state === 'canceled') && errorOf(job)),
  }
}

function analysisOf(row: NonNullable<FoundJob['analysis']>) {
  return {
    genre: row.genre,
    genre_score: row.genreScore,
    styles: [
      { name: row.style1, score: row.score1 },
      { name: row.style2, score: row.score2 },
      { name: row.style3, score: row.score3 },
      { name: row.style4, score: row.score4 },
      { name: row.style5, score: row.score5 },
    ],
    image_url: row.imageUrl,
    music_url: row.musicUrl,
    music: {
      duration_seconds: row.durationSeconds,
      sample_rate: row.sampleRate,
      prompt: row.prompt,
      seed: row.seed,
      model: row.musicModel,
    },
    timings: {
      queue_ms: row.queueMs,
      fetch_ms: row.fetchMs,
      classify_ms: row.classifyMs,
      generate_ms: row.generateMs,
      store_ms: row.storeMs,
      total_ms: row.totalMs,
    },
  }
}

/**
 * What was wrong with a picture is told; what went wrong with us is for the log and the dead letter alone. A code that a
 * newer consumer has written is told as the general one, which the callers of this API know.
 */
function errorOf({ errorCode, errorMessage, errorRetryable }: ShownJob['job']) {
  if (!errorCode) return {}
  const code = errorCode in errorCodes ? errorCode : 'INTERNAL_ERROR'
  const retryable = errorRetryable ?? false
  const message = (!retryable && errorMessage) || errorCodes[code].title
  return { error: { code, message, retryable } }
}
