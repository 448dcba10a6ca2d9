import Type, { type Static } from 'typebox'

/** Of one stage, at once: what the state has room for. */
export const mostPods = 50

const closed = { additionalProperties: false }

/** How many pods of which kind there may be; part of a stage's file. */
export const Limits = Type.Object(
  {
    min_pods: Type.Integer({ minimum: 0, maximum: mostPods }),
    max_pods: Type.Integer({ minimum: 0, maximum: mostPods }),
    seconds_per_picture: Type.Number({ exclusiveMinimum: 0, description: 'Of one pod at full batches, as measured' }),
    // Alarms tell of twice these times: CloudWatch looks back a day at most, and messages are kept for four.
    start_seconds: Type.Integer({
      minimum: 1,
      maximum: 43_200,
      description: 'Until a pod takes work, as measured, and the minute until it is ordered',
    }),
    target_seconds: Type.Integer({
      minimum: 1,
      maximum: 86_400,
      description: 'A backlog is to be gone after so long, above start_seconds',
    }),
    cool_down_seconds: Type.Integer({ minimum: 0, description: 'Pods are too many for so long before one goes' }),
    ready_seconds: Type.Integer({ minimum: 60, description: 'A pod not running after so long is replaced' }),
    daily_usd: Type.Number({ minimum: 0, description: 'Spent in a UTC day, no pod runs until the next' }),
    cloud: Type.Enum(['SECURE', 'COMMUNITY']),
    gpus: Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: 8, description: 'The best first' }),
    min_cuda: Type.String({ pattern: '^\\d+\\.\\d+$', description: 'That the image needs of the host' }),
    places: Type.Array(
      Type.Object({ data_center: Type.String({ minLength: 1 }), volume: Type.String({ minLength: 1 }) }, closed),
      { minItems: 1, maxItems: 4, description: 'Data centres with a network volume for the models, the best first' },
    ),
  },
  closed,
)

/** What the Lambda finds in its environment, as JSON. */
export const ScalerSettings = Type.Object({
  stage: Type.String(),
  queue_url: Type.String(),
  state_parameter: Type.String({ description: 'Name in Parameter Store' }),
  api_key_secret: Type.String({ description: 'ARN in Secrets Manager' }),
  endpoint: Type.String({ description: 'Of the REST API of RunPod' }),
  limits: Limits,
  pod: Type.Object({
    image: Type.String(),
    registry: Type.Optional(Type.String()),
    disk_gb: Type.Integer(),
    model_path: Type.String({ description: 'Where the network volume is mounted' }),
    environment: Type.Record(Type.String(), Type.String()),
  }),
})

export type Limits = Static<typeof Limits>
export type ScalerSettings = Static<typeof ScalerSettings>
