import { jobId } from '#shared/contract/key.ts'
import type { ImageUploaded } from '#shared/contract/queue-message.ts'
import { type Analysis, firstJob } from '#shared/db/jobs.ts'

export const bucket = 'pictures'

export function uploadOf(key: string, more: Partial<ImageUploaded> = {}): ImageUploaded {
  return {
    bucket,
    key,
    version: 'e1',
    etag: 'e1',
    size: 3,
    sequencer: '0A',
    eventTime: '2026-01-02T03:04:05.678Z',
    ...more,
  }
}

/** The row of a later take on it. */
export function laterTake(upload: ImageUploaded, take: number) {
  return { ...firstJob(upload), id: jobId(upload, take), take }
}

export function analysisOf({ key, version }: ImageUploaded): Analysis {
  return {
    genre: 'landscape',
    genreScore: 0.75,
    style1: 'Impressionism',
    style2: 'Realism',
    style3: 'Romanticism',
    style4: 'Fauvism',
    style5: 'Baroque',
    score1: 0.5,
    score2: 0.25,
    score3: 0.125,
    score4: 0.0625,
    score5: 0.03125,
    imageUrl: 'https://pictures.s3.us-east-1.amazonaws.com/uploads/a.jpg',
    musicUrl: 'https://pictures.s3.us-east-1.amazonaws.com/generated/a.jpg/1.wav',
    imageKey: key,
    imageVersion: version,
    take: 0,
    prompt: 'A slow waltz',
    seed: 2 ** 32 - 1,
    durationSeconds: 10,
    sampleRate: 32_000,
    musicBytes: 640_044,
    musicSha256: 'ab'.repeat(32),
    musicModel: 'tiny-random-musicgen',
    musicModelRevision: 'r1',
    classifierModel: 'tiny-random-clip',
    classifierModelRevision: 'r2',
    queueMs: 1,
    fetchMs: 2,
    classifyMs: 3,
    generateMs: 4,
    storeMs: 5,
    totalMs: 15,
    embedding: new Float32Array([1, -0.5, 0.25]),
  }
}
