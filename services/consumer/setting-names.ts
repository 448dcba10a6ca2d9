import type { SettingName } from '#shared/contract/setting.ts'
import { databaseSettings } from '#shared/db/connection.ts'

/** What the consumer needs without its process. */
export const consumerSettings = [
  'AWS_REGION',
  'AWS_ENDPOINT_URL',
  'BUCKET',
  'QUEUE_URL',
  'DLQ_URL',
  'BATCH_SIZE',
  'MAX_IMAGE_BYTES',
  'MAX_IMAGE_PIXELS',
  'MUSIC_SECONDS',
  'LEASE_SECONDS',
  'MAX_ATTEMPTS',
  'GRACE_SECONDS',
] as const

/** What its process reads. */
export const settingNames = [
  ...consumerSettings,
  ...databaseSettings,
  'MODEL_DIR',
  'MUSIC_MODEL',
  'CLASSIFIER_MODEL',
  'EXECUTION_PROVIDERS',
  'BATCH_WAIT_MS',
  'MAX_GENERATION_SECONDS',
  'PROMPT_FILE',
  'HOST',
  'METRICS_PORT',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'LOG_LEVEL',
] as const satisfies SettingName[]
