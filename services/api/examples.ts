import type { Result } from '#shared/contract/result.ts'
import packageJson from '../../package.json' with { type: 'json' }

const key = 'uploads/2026/harbour.jpg'
const queued = { key, version: 'd41d8cd98f00b204e9800998ecf8427e', status: 'queued' } satisfies Result
const received = {
  ...queued,
  take: 0,
  progress: 0,
  attempt: 0,
  created_at: '2026-01-02T03:04:05.678Z',
} satisfies Result
const started = { ...received, attempt: 1, started_at: '2026-01-02T03:04:06.789Z' } satisfies Result
const ended = { ...started, finished_at: '2026-01-02T03:04:20.123Z' } satisfies Result
const bucketUrl = 'https://pictures.s3.us-east-1.amazonaws.com'

/** A result in every state. */
export const resultExamples = {
  'uploaded, not yet received': queued,
  queued: received,
  processing: { ...started, status: 'processing', stage: 'composing', progress: 0.55, eta_seconds: 6.5 },
  succeeded: {
    ...ended,
    status: 'succeeded',
    progress: 1,
    genre: 'landscape',
    genre_score: 0.62,
    styles: [
      { name: 'Impressionism', score: 0.41 },
      { name: 'Post Impressionism', score: 0.22 },
      { name: 'Realism', score: 0.12 },
      { name: 'Romanticism', score: 0.08 },
      { name: 'Pointillism', score: 0.05 },
    ],
    image_url: `${bucketUrl}/${key}`,
    music_url: `${bucketUrl}/generated/2026/harbour.jpg/5f2b8c1e9a7d4e3fb6a1c0d2e4f60718.wav`,
    music: {
      duration_seconds: 10,
      sample_rate: 32_000,
      prompt: 'A calm piece for harp and strings, flowing and bright',
      seed: 2_846_201_913,
      model: 'musicgen-small',
    },
    timings: {
      queue_ms: 1_111,
      fetch_ms: 85,
      classify_ms: 140,
      generate_ms: 12_870,
      store_ms: 239,
      total_ms: 13_334,
    },
  },
  failed: {
    ...ended,
    status: 'failed',
    error: { code: 'IMAGE_CORRUPT', message: 'The picture ends early', retryable: false },
  },
  canceled: {
    ...ended,
    status: 'canceled',
    error: { code: 'CANCELED', message: 'The job was canceled', retryable: false },
  },
} as const satisfies Record<string, Result>

/** What only the reading of results has. */
export const presignedResultExamples = {
  'queued, with image_url=presigned': {
    value: {
      ...received,
      image_url: `${bucketUrl}/${key}?X-Amz-Expires=4499&X-Amz-Signature=0a1b2c3d4e5f6071&response-content-disposition=inline`,
    } satisfies Result,
  },
}

const { genre, styles, image_url, music_url } = resultExamples.succeeded

export const analysisExample = { genre, styles: styles.map(({ name }) => name), image_url, music_url }

/** A stream as it goes over the line. */
export const streamExamples = {
  'work that ends': {
    value: [
      'retry: 2000\n\n',
      eventOf('progress', '1', resultExamples.processing),
      ': still here\n\n',
      eventOf('end', '2', resultExamples.succeeded),
    ].join(''),
  },
}

function eventOf(event: string, id: string, result: Result): string {
  return `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(result)}\n\n`
}

export const uploadExample = { content_type: 'image/jpeg', size_bytes: 482_113, filename: 'harbour.jpg' }

const presigned = { key, result_url: `/v1/results/${key}` }
const bounds = { expires_at: '2026-01-02T03:19:05.000Z', max_bytes: uploadExample.size_bytes }

/** A form, and bytes alone. */
export const presignedExamples = [
  {
    ...presigned,
    upload: {
      method: 'POST',
      url: `${bucketUrl}/`,
      fields: {
        key,
        'Content-Type': 'image/jpeg',
        Policy: 'eyJleHBpcmF0aW9uIjoi',
        'X-Amz-Signature': '5d672d79c15b1316',
      },
      ...bounds,
    },
  },
  {
    ...presigned,
    upload: {
      method: 'PUT',
      url: `${bucketUrl}/${key}?X-Amz-Expires=900&X-Amz-Signature=5d672d79c15b1316`,
      headers: { 'content-type': 'image/jpeg' },
      ...bounds,
    },
  },
]

export const deadLetterExample = {
  message_id: '5c1f0a52-7b1e-4c3a-8b5e-2f6f4d8f9a10',
  reason_code: 'IMAGE_CORRUPT',
  reason: 'The picture ends early',
  image_keys: [key],
  failed_at: '2026-01-02T03:04:20.123Z',
  age_seconds: 5_400,
  attempts: 1,
  replay_count: 0,
  sent_at: '2026-01-02T03:04:20.456Z',
  body_bytes: 652,
}

export const replayExample = { code: ['IMAGE_CORRUPT'], prefix: 'uploads/2026/', dry_run: false }

export const orderExample = { key, prompt: 'A slow waltz for harp', seed: 7, duration_seconds: 12 }
export const cancellationExample = { key, take: 1 }

const exampleTime = '2026-01-02T03:04:20.123Z'
const timings = resultExamples.succeeded.timings

export const operationsExample = {
  at: exampleTime,
  queue: { visible: 12, in_flight: 4 },
  dead_letters: { visible: 2, in_flight: 0 },
  jobs: { queued: 12, processing: 4, oldest_seconds: 41.5 },
  consumers: [
    {
      id: '5f2b8c1e9a7d4e3fb6a1c0d2e4f60718',
      version: packageJson.version,
      started_at: '2026-01-02T01:00:00.000Z',
      seen_at: '2026-01-02T03:04:12.000Z',
      alive: true,
      state: 'running' as const,
      in_work: 4,
      slots: 4,
      outages: [],
      execution_providers: ['cuda'],
      music_model: { name: 'musicgen-small', revision: '4c8334b' },
      classifier_model: { name: 'siglip2-base-patch16-224', revision: '75de2d5' },
      real_time_factor: 3.2,
      clips: 1_408,
      received_age_seconds: 38.2,
    },
  ],
  failures: { since: '2026-01-01T03:04:20.123Z', by_code: [{ code: 'IMAGE_CORRUPT', jobs: 2 }] },
  recent: [{ key, take: 0, finished_at: exampleTime, ...timings }],
}
