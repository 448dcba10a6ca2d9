import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type, { type Static } from 'typebox'
import { maxCounted } from '#shared/db/figures.ts'
import { operationsExample } from '../examples.ts'
import type { OperationsReader } from '../operations.ts'

const count = (description: string) => Type.Integer({ minimum: 0, description })
const countedAtMost = (description: string) =>
  Type.Integer({
    minimum: 0,
    maximum: maxCounted,
    description: `${description}; ${maxCounted} stands for as many or more`,
  })
const seconds = (description: string) => Type.Number({ minimum: 0, description })
const time = (description: string) => Type.String({ format: 'date-time', description })
const milliseconds = (description: string) => Type.Integer({ minimum: 0, description: `${description}, milliseconds` })

const Depth = (description: string) =>
  Type.Optional(
    Type.Object(
      { visible: count('That may be received'), in_flight: count('Received and not yet acknowledged') },
      { description: `${description}, approximately, as SQS counts; absent when it does not answer` },
    ),
  )

const Model = (description: string) =>
  Type.Object(
    { name: Type.String({ description: 'Its name' }), revision: Type.String({ description: 'Of its checkpoint' }) },
    { description },
  )

const Consumer = Type.Object(
  {
    id: Type.String({ description: 'Of this run of it' }),
    version: Type.String({ description: 'Of Promenade' }),
    started_at: time('When its process started'),
    seen_at: time('When it last gave a sign of life, every 15 s'),
    alive: Type.Boolean({ description: 'Seen within the last 60 s' }),
    state: Type.Enum(['running', 'stopping'], { description: '`stopping`: it begins nothing more' }),
    in_work: count('Messages in work'),
    slots: count('Messages that it works on at once, at most'),
    outages: Type.Array(Type.String({ description: 'Code' }), {
      description: 'What it finds away, and receives nothing for',
    }),
    execution_providers: Type.Array(Type.String({ description: 'Name in ONNX Runtime' }), {
      description: 'What its models run on, the first that can',
    }),
    music_model: Model('It composes with'),
    classifier_model: Model('It names genre and styles with'),
    real_time_factor: Type.Optional(
      Type.Number({
        minimum: 0,
        description: 'Seconds of music per second of generating, all clips together, of its last 10 generations',
      }),
    ),
    clips: count('Made since its start'),
    received_age_seconds: Type.Optional(
      seconds('How long the message that it received last had been waiting, earlier tries included'),
    ),
  },
  { description: 'A consumer; one that stopped in order is gone, one that was killed stays for a day' },
)

const Timings = Type.Object({
  key: Type.String({ description: 'The image key' }),
  take: count('0 is the first'),
  finished_at: time('When it succeeded'),
  queue_ms: milliseconds('From the upload to the start'),
  fetch_ms: milliseconds('Reading the picture'),
  classify_ms: milliseconds('Naming genre and styles'),
  generate_ms: milliseconds('Composing, the wait for others in the same generation included'),
  store_ms: milliseconds('Storing the music'),
  total_ms: milliseconds('From the upload to the record'),
})

export type Operations = Static<typeof Operations>
const Operations = Type.Object(
  {
    at: time("When this was so, by the database's clock, as all times here"),
    queue: Depth('Messages on the queue'),
    dead_letters: Depth('Messages on the dead-letter queue'),
    jobs: Type.Object(
      {
        queued: countedAtMost('Jobs that nobody works on'),
        processing: countedAtMost('Jobs in work'),
        oldest_seconds: Type.Optional(
          seconds('Since the oldest job that has not ended was received first; absent when there is none'),
        ),
      },
      { description: 'Jobs that have not ended' },
    ),
    consumers: Type.Array(Consumer, { description: 'The 200 seen last, the latest first' }),
    failures: Type.Object(
      {
        since: time('24 hours ago'),
        by_code: Type.Array(
          Type.Object({
            code: Type.String({ description: 'Why' }),
            jobs: countedAtMost('That have failed with it'),
          }),
          { description: `The most first, of the last ${maxCounted} that failed` },
        ),
      },
      { description: 'Jobs that have failed for good since then' },
    ),
    recent: Type.Array(Timings, { description: 'Of the 100 jobs that succeeded last, the latest first' }),
  },
  { description: 'How the work goes', examples: [operationsExample] },
)

/** `GET /v1/operations`: what operators look at while it runs. */
export function operationsRoutes({
  operations,
}: {
  operations: Pick<OperationsReader, 'read'>
}): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get(
      '/v1/operations',
      {
        config: { scope: 'admin', problems: ['DATABASE_UNAVAILABLE'] },
        schema: {
          operationId: 'getOperations',
          tags: ['Operation'],
          summary: 'Queues, jobs, consumers, failures and timings',
          description:
            'What operators look at while it runs, over everything in the database. The answer may be a second old, ' +
            'which `at` tells. What SQS does not tell within 2 s is left out.',
          response: { 200: Operations },
        },
      },
      async (_request, reply) => {
        reply.header('cache-control', 'private, no-store')
        return operations.read()
      },
    )
  }
}
