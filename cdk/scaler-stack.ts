import { Stack } from 'aws-cdk-lib'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import { StringParameter } from 'aws-cdk-lib/aws-ssm'
import type { Construct } from 'constructs'
import { callEveryMinute, createFunction } from './bundled-function.ts'
import { scalerStatements } from './permissions.ts'
import { namesOf } from './resource-names.ts'
import type { ScalerSettings } from './scaler/settings.ts'
import { environmentOf, type Stage } from './stage.ts'
import { modelPath, workerEnvironment } from './worker-environment.ts'

/** A round ends before the next begins. */
const timeoutSeconds = 55

/** As many pods as the queue takes, looked at once a minute. */
export class ScalerStack extends Stack {
  readonly scaler: IFunction

  constructor(
    scope: Construct,
    id: string,
    { stage, apiKeySecret, podIdentity }: { stage: Stage; apiKeySecret: string; podIdentity: Record<string, string> },
  ) {
    super(scope, id, { env: environmentOf(stage), description: 'Promenade: GPU pods that follow the queue' })
    const names = namesOf(stage)
    const state = new StringParameter(this, 'State', {
      parameterName: `/promenade/${stage.name}/scaler`,
      description: 'What one round hands to the next; may be reset to null',
      stringValue: 'null',
    })
    const settings: ScalerSettings = {
      stage: stage.name,
      queue_url: names.uploads.url,
      state_parameter: state.parameterName,
      api_key_secret: apiKeySecret,
      endpoint: 'https://api.runpod.io',
      limits: stage.scaler,
      pod: {
        image: stage.worker.image,
        ...(stage.worker.registry !== undefined && { registry: stage.worker.registry }),
        disk_gb: stage.worker.disk_gb,
        model_path: modelPath,
        environment: workerEnvironment(stage, names, podIdentity),
      },
    }
    const scaler = createFunction(this, 'Scaler', {
      entry: 'cdk/scaler/scaler.lambda.ts',
      description: 'Orders and ends GPU pods as the queue takes them',
      timeoutSeconds,
      memoryMb: 256,
      // Two at once would both order the pods that one sees missing.
      concurrency: 1,
      environment: { SCALER_SETTINGS: this.toJsonString(settings) },
      statements: scalerStatements(names, { apiKey: apiKeySecret, state: state.parameterArn }),
    })
    callEveryMinute(this, scaler)
    this.scaler = scaler
  }
}
