import type { ResourceNames } from './resource-names.ts'
import { type Stage, settingsOf, tunableSettings } from './stage.ts'

/** Where pods find their models: the network volume's. */
export const modelPath = '/models'

/** What RunPod puts in place of it, so that nobody who may list pods reads it. */
export function runpodSecret({ name }: Stage, secret: string): string {
  return `{{ RUNPOD_SECRET_promenade_${name}_${secret} }}`
}

/** The settings of the consumer on a pod, and `identity`: what it proves with who it is. */
export function workerEnvironment(stage: Stage, names: ResourceNames, identity: Record<string, string>) {
  return {
    AWS_REGION: stage.region,
    BUCKET: names.bucket.name,
    QUEUE_URL: names.uploads.url,
    DLQ_URL: names.deadLetters.url,
    DATABASE_URL: runpodSecret(stage, 'database_url'),
    // The scaler's environment, which is Lambda's, has no room for the text.
    ...(stage.database_ca && { DATABASE_CA: runpodSecret(stage, 'database_ca') }),
    MODEL_DIR: modelPath,
    MUSIC_MODEL: stage.worker.music_model,
    CLASSIFIER_MODEL: stage.worker.classifier_model,
    // A GPU is paid for: a pod that cannot use it must not pass for one that works.
    EXECUTION_PROVIDERS: 'cuda',
    BATCH_SIZE: String(stage.worker.batch_size),
    ...settingsOf(stage, tunableSettings),
    ...(stage.worker.hf_token && { HF_TOKEN: runpodSecret(stage, 'hf_token') }),
    ...identity,
  }
}
