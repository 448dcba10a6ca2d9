import Type, { type Static } from 'typebox'
import { type ErrorCode, errorCodes } from './error-code.ts'

const finalStates = ['succeeded', 'failed', 'canceled'] as const
export type FinalState = (typeof finalStates)[number]

export const jobStates = ['queued', 'processing', ...finalStates] as const
export type JobState = (typeof jobStates)[number]

export function isFinal(state: JobState): state is FinalState {
  return finalStates.some((each) => each === state)
}

/** What a job in `processing` is doing, in this order. */
const jobStages = ['fetching', 'classifying', 'composing', 'storing'] as const
export type JobStage = (typeof jobStages)[number]

export const styleCount = 5

const score = Type.Number({ minimum: 0, maximum: 1 })
const milliseconds = Type.Integer({ minimum: 0, description: 'Milliseconds' })
const dateTime = Type.String({ format: 'date-time' })

/** A job as the API answers it; a field that does not apply yet is absent. */
export const Result = Type.Object(
  {
    key: Type.String({ description: 'The image key, decoded' }),
    version: Type.Optional(Type.String({ description: 'S3 version id, or the etag in an unversioned bucket' })),
    take: Type.Optional(Type.Integer({ minimum: 0, description: '0 is the first; others were ordered' })),
    status: Type.Enum([...jobStates]),
    stage: Type.Optional(Type.Enum([...jobStages])),
    progress: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    eta_seconds: Type.Optional(Type.Number({ minimum: 0 })),
    attempt: Type.Optional(Type.Integer({ minimum: 0 })),
    created_at: Type.Optional(dateTime),
    started_at: Type.Optional(dateTime),
    finished_at: Type.Optional(dateTime),
    genre: Type.Optional(Type.String()),
    genre_score: Type.Optional(score),
    styles: Type.Optional(
      Type.Array(Type.Object({ name: Type.String(), score }), { minItems: styleCount, maxItems: styleCount }),
    ),
    image_url: Type.Optional(
      Type.String({
        format: 'uri',
        description: 'The picture; of what has not succeeded with `image_url=presigned` alone',
      }),
    ),
    music_url: Type.Optional(Type.String({ format: 'uri' })),
    music: Type.Optional(
      Type.Object({
        duration_seconds: Type.Number({ exclusiveMinimum: 0 }),
        sample_rate: Type.Integer({ minimum: 1, description: 'Hz' }),
        prompt: Type.String(),
        seed: Type.Integer({ minimum: 0, maximum: 2 ** 32 - 1 }),
        model: Type.String(),
      }),
    ),
    timings: Type.Optional(
      Type.Object({
        queue_ms: milliseconds,
        fetch_ms: milliseconds,
        classify_ms: milliseconds,
        generate_ms: milliseconds,
        store_ms: milliseconds,
        total_ms: milliseconds,
      }),
    ),
    error: Type.Optional(
      Type.Object({
        code: Type.Enum(Object.keys(errorCodes) as ErrorCode[]),
        message: Type.String(),
        retryable: Type.Boolean(),
      }),
    ),
  },
  { $id: 'Result', description: 'Where the work on a picture stands', additionalProperties: false },
)
export type Result = Static<typeof Result>

/** RFC 9457 problem details, with our stable `code`. */
export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.Optional(Type.String()),
    instance: Type.Optional(Type.String()),
    code: Type.Enum(Object.keys(errorCodes) as ErrorCode[]),
  },
  { $id: 'Problem', description: 'What was wrong' },
)
export type Problem = Static<typeof Problem>
