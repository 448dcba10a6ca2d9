import { type FastifyPluginAsyncTypebox, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { errorCodes } from '#shared/contract/error-code.ts'
import type { DeadLetterQueue } from '#shared/dead-letters/dead-letter-queue.ts'
import { PermanentFailure } from '#shared/failure.ts'
import { clientSignal } from '../client-signal.ts'
import { createDeadLetters } from '../dead-letters.ts'
import { deadLetterExample, replayExample } from '../examples.ts'

/** Its turn, reading, replaying and giving back all lie below, and the end of a function above. */
const timeoutSeconds = 27
const maxLetters = 100

const code = Type.Enum([...Object.keys(errorCodes), 'none'], {
  description: 'Reason of the failure; none: dead-lettered by SQS itself, after too many receives',
})
const prefix = Type.String({ minLength: 1, maxLength: 1024, description: 'What an image key begins with' })
const limit = Type.Integer({ minimum: 1, maximum: maxLetters, default: maxLetters, description: 'Letters at most' })

const Query = Type.Object(
  { code: Type.Optional(code), prefix: Type.Optional(prefix), limit: Type.Optional(limit) },
  { additionalProperties: false },
)

export const Replay = Type.Object(
  {
    message_ids: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 100 }), {
        minItems: 1,
        maxItems: maxLetters,
        description: 'These messages',
      }),
    ),
    code: Type.Optional(
      Type.Array(code, { minItems: 1, maxItems: maxLetters, description: 'Messages of one of these reasons' }),
    ),
    prefix: Type.Optional(prefix),
    limit: Type.Optional(limit),
    max_replays: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1_000_000,
        default: 3,
        description: 'Leaves messages that were replayed so often',
      }),
    ),
    dry_run: Type.Optional(
      Type.Boolean({ default: true, description: 'Tells what would be done; nothing is done until it is false' }),
    ),
  },
  { additionalProperties: false, examples: [replayExample] },
)

const fields = {
  message_id: Type.String(),
  reason_code: Type.Optional(
    Type.String({ description: 'Code of the failure; absent where SQS itself has dead-lettered the message' }),
  ),
  reason: Type.Optional(Type.String({ description: 'What has failed, in words' })),
  image_keys: Type.Array(Type.String(), {
    description: 'The picture that the failure was about, or else all that the message announces',
  }),
  failed_at: Type.String({ format: 'date-time', description: 'When it failed, or else was sent' }),
  age_seconds: Type.Integer({ description: 'Since `failed_at`' }),
  attempts: Type.Optional(Type.Integer({ description: 'Of the job, until it failed' })),
  replay_count: Type.Integer({ description: 'How often the message was replayed' }),
  sent_at: Type.String({ format: 'date-time', description: 'When it came to the dead-letter queue' }),
  body_bytes: Type.Integer({ description: 'Size of the body' }),
}

const more = Type.Boolean({
  description: 'There may be others: the limit was reached, or the time or room of one call',
})

export const DeadLetters = Type.Object(
  { letters: Type.Array(Type.Object(fields)), more },
  { description: 'Dead letters', examples: [{ letters: [deadLetterExample], more: false }] },
)

export const Replays = Type.Object(
  {
    dry_run: Type.Boolean(),
    letters: Type.Array(
      Type.Object({
        ...fields,
        outcome: Type.Enum(['would_be_replayed', 'replayed', 'left', 'failed']),
        new_message_id: Type.Optional(Type.String({ description: 'On the queue of events' })),
        detail: Type.Optional(Type.String({ description: 'Why it is left, or how it failed' })),
      }),
    ),
    more,
  },
  {
    description: 'What has become of each',
    examples: [
      { dry_run: true, letters: [{ ...deadLetterExample, outcome: 'would_be_replayed' }], more: false },
      {
        dry_run: false,
        letters: [
          { ...deadLetterExample, outcome: 'replayed', new_message_id: '0f2a4c1e-7d3b-4f0a-9d55-8a6f3b2c1d0e' },
          { ...deadLetterExample, replay_count: 3, outcome: 'left', detail: 'it was replayed 3 times or more' },
        ],
        more: false,
      },
    ],
  },
)

/** `GET /v1/dead-letters` and `POST /v1/replays`: what `npm run dlq` lists and replays. */
export function deadLetterRoutes({ queue }: { queue: DeadLetterQueue | undefined }): FastifyPluginAsyncTypebox {
  return async (app) => {
    const deadLetters = createDeadLetters({ queue })
    app.addHook('preClose', async () => deadLetters.close())

    app.get(
      '/v1/dead-letters',
      {
        config: { scope: 'admin', problems: ['CONFLICT', 'STORAGE_UNAVAILABLE'], timeoutSeconds },
        schema: {
          operationId: 'listDeadLetters',
          tags: ['Operation'],
          summary: 'Messages that could not be worked off',
          description:
            'The longest failed first; nothing is removed. Reading hides the messages from everyone else until the answer, and ' +
            'takes a second at least. One call reads 1,000 messages at most. An API without DLQ_URL answers CONFLICT.',
          querystring: Query,
          response: { 200: DeadLetters },
        },
      },
      async ({ query, log }, reply) => {
        const { limit = maxLetters, code, prefix } = query
        return deadLetters.list(
          { limit, code: code === undefined ? code : [code], prefix },
          { gone: clientSignal(reply), log },
        )
      },
    )

    app.post(
      '/v1/replays',
      {
        config: { scope: 'admin', problems: ['CONFLICT', 'STORAGE_UNAVAILABLE'], timeoutSeconds },
        // Takes JSON at its word, where the API's own would make a number of a text or null.
        validatorCompiler: TypeBoxValidatorCompiler,
        schema: {
          operationId: 'replay',
          tags: ['Operation'],
          summary: 'Dead letters, sent to the queue again',
          description:
            'The messages are named by `message_ids`, `code` or `prefix`; all that is given must hold. Each is sent to the ' +
            'queue of events and then taken off the dead-letter queue: cut off in between it lies in both, and is worked off ' +
            'once all the same. Without `"dry_run": false` nothing is done. Repeated, the call replays what is left.',
          body: Replay,
          response: { 200: Replays },
        },
      },
      async ({ body, caller, log }, reply) => {
        const {
          message_ids: id,
          code,
          prefix,
          limit = maxLetters,
          max_replays: maxReplays,
          dry_run: dryRun = true,
        } = body
        if (!id && !code && prefix === undefined) {
          throw new PermanentFailure('INVALID_REQUEST', 'body must name the messages: by message_ids, code or prefix')
        }
        const asking = { gone: clientSignal(reply), log }
        const done = await deadLetters.replay({ id, code, prefix, limit }, { dryRun, maxReplays, caller }, asking)
        return { dry_run: dryRun, ...done }
      },
    )
  }
}
