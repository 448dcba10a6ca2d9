import Type from 'typebox'

const port = Type.Integer({ minimum: 0, maximum: 65535 })
const rolesAnywhere = (kind: string) => `^arn:aws[a-z-]*:rolesanywhere:[a-z0-9-]+:\\d{12}:${kind}/[0-9a-f-]+$`

/** Every setting of the services, each with a description. A service picks the ones it needs. */
export const settings = {
  AWS_REGION: Type.String({ minLength: 1, description: 'Region of the bucket and the queues' }),
  AWS_ENDPOINT_URL: Type.Optional(
    Type.String({ pattern: '^https?://', description: 'Another address for S3 and SQS, such as the local stack' }),
  ),
  BUCKET: Type.String({ minLength: 3, maxLength: 63, description: 'Pictures come in and music goes out here' }),
  QUEUE_URL: Type.String({ pattern: '^https?://', description: 'Queue of S3 events, and of takes that are ordered' }),
  DLQ_URL: Type.String({
    pattern: '^https?://',
    description: 'Dead-letter queue of QUEUE_URL; the API can do without',
  }),
  DATABASE_URL: Type.String({ pattern: '^mysql://', description: 'mysql://user:password@host:port/database' }),
  DATABASE_TLS: Type.Enum(['required', 'off'], {
    default: 'required',
    description: 'off is accepted for a database on loopback only',
  }),
  DATABASE_CA: Type.Optional(
    Type.String({ description: 'PEM certificates to trust for the database, or a file of them' }),
  ),
  MODEL_DIR: Type.String({ minLength: 1, description: 'Folder of the built models, one folder each' }),
  MUSIC_MODEL: Type.String({ default: 'tiny-random-musicgen', description: 'Name of a built MusicGen model' }),
  CLASSIFIER_MODEL: Type.String({ default: 'tiny-random-clip', description: 'Name of a built image classifier' }),
  EXECUTION_PROVIDERS: Type.String({
    default: 'cpu',
    pattern: '^(cpu|cuda)(,(cpu|cuda))*$',
    description: 'ONNX Runtime providers in order of preference, separated by commas',
  }),
  MUSIC_SECONDS: Type.Number({ default: 10, minimum: 0.02, maximum: 30, description: 'Length of the music' }),
  PROMPT_FILE: Type.Optional(
    Type.String({ description: 'Replaces services/consumer/pipeline/prompt.json, the words of the music prompts' }),
  ),
  BATCH_SIZE: Type.Integer({
    default: 4,
    minimum: 1,
    maximum: 64,
    description: 'Pictures in work at once, and clips in one generation at most',
  }),
  BATCH_WAIT_MS: Type.Integer({
    default: 100,
    minimum: 0,
    maximum: 10_000,
    description: 'How long a clip waits for others to join its generation',
  }),
  MAX_GENERATION_SECONDS: Type.Integer({
    default: 300,
    minimum: 1,
    maximum: 36_000,
    description:
      'A generation of up to 10 s of music that takes longer (of 30 s: three times as long), or a process silent for so long, ' +
      'is given up and tried again',
  }),
  MAX_IMAGE_BYTES: Type.Integer({
    default: 20 * 2 ** 20,
    minimum: 1,
    maximum: 2 ** 30,
    description: 'Pictures of more bytes fail',
  }),
  MAX_IMAGE_PIXELS: Type.Integer({
    default: 100_000_000,
    minimum: 1,
    maximum: 2 ** 30,
    description: 'Pictures of more pixels fail',
  }),
  LEASE_SECONDS: Type.Integer({
    default: 60,
    minimum: 3,
    // SQS hides a message for 12 hours from its receipt in all.
    maximum: 3_600,
    description: 'How long a claim, and the message with it, stays ours without renewal',
  }),
  MAX_ATTEMPTS: Type.Integer({ default: 5, minimum: 1, maximum: 100, description: 'Failed tries before a job fails' }),
  GRACE_SECONDS: Type.Number({ default: 5, minimum: 0, maximum: 3600, description: 'From SIGTERM to exit' }),
  HOST: Type.String({ default: '0.0.0.0', description: 'Address to listen on' }),
  PORT: Type.Integer({ ...port, default: 8080, description: 'Port to listen on; 0 takes a free one' }),
  METRICS_PORT: Type.Integer({
    ...port,
    default: 9464,
    description: "Port of the consumer's metrics and health; 0 takes a free one",
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    Type.String({ pattern: '^https?://', description: 'Traces are sent to this OTLP/HTTP collector' }),
  ),
  AUTH: Type.Optional(Type.Literal('none', { description: 'In so many words: the API is open to everyone' })),
  API_KEYS: Type.Optional(
    Type.String({
      description: 'Bearer keys, separated by commas: key, key:read+upload+act+admin or sha256:digest:scopes',
    }),
  ),
  WEBHOOKS: Type.Optional(
    Type.String({
      description:
        'JSON array of the endpoints that hear of ended jobs: [{"url":"https://...","secrets":["whsec_..."]}], and ' +
        '"events":["result.succeeded"] where not all are wanted',
    }),
  ),
  WEBHOOKS_ALLOW_PRIVATE: Type.Optional(
    Type.String({
      description:
        'Private addresses or networks that webhooks may go to all the same, separated by commas: 10.1.0.0/16,127.0.0.1',
    }),
  ),
  RATE_LIMIT_PER_MINUTE: Type.Integer({
    default: 6_000,
    minimum: 0,
    maximum: 1_000_000_000,
    description: 'Requests of one API key to one instance of the API; 0 for as many as they like',
  }),
  CORS_ORIGINS: Type.Optional(
    Type.String({ description: 'Origins of the pages that may call from a browser, exact, separated by commas' }),
  ),
  TRUST_PROXY: Type.Optional(
    Type.String({ description: 'Addresses and networks of the proxies before the API, separated by commas' }),
  ),
  SECRETS: Type.Optional(
    Type.String({
      pattern: '^\\{.*\\}$',
      description: 'On AWS Lambda: JSON object of settings and the secrets of Secrets Manager that hold their values',
    }),
  ),
  WORKER_CERTIFICATE: Type.Optional(
    Type.String({
      pattern: '-----BEGIN CERTIFICATE-----',
      description: 'On a pod outside AWS: PEM of the certificate that IAM Roles Anywhere knows it by',
    }),
  ),
  WORKER_PRIVATE_KEY: Type.Optional(
    Type.String({ pattern: '-----BEGIN [A-Z ]*PRIVATE KEY-----', description: 'PEM of the key of WORKER_CERTIFICATE' }),
  ),
  TRUST_ANCHOR_ARN: Type.Optional(
    Type.String({ pattern: rolesAnywhere('trust-anchor'), description: 'Of the authority of WORKER_CERTIFICATE' }),
  ),
  PROFILE_ARN: Type.Optional(
    Type.String({ pattern: rolesAnywhere('profile'), description: 'Of IAM Roles Anywhere, for ROLE_ARN' }),
  ),
  ROLE_ARN: Type.Optional(
    Type.String({
      pattern: '^arn:aws[a-z-]*:iam::\\d{12}:role/[\\w+=,.@/-]+$',
      description: 'Role that WORKER_CERTIFICATE gives',
    }),
  ),
  LOG_LEVEL: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
    default: 'info',
    description: 'The least that is logged',
  }),
} as const

export type SettingName = keyof typeof settings
