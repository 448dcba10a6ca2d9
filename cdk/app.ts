import { App, Tags, Validations } from 'aws-cdk-lib'
import { AwsSolutionsChecks } from 'cdk-nag'
import { AlarmsStack } from './alarms-stack.ts'
import { ApiStack } from './api-stack.ts'
import configuration from './cdk.json' with { type: 'json' }
import { DataStack } from './data-stack.ts'
import { IdentityStack } from './identity-stack.ts'
import { ScalerStack } from './scaler-stack.ts'
import type { Stage } from './stage.ts'
import { WebhooksStack } from './webhooks-stack.ts'

/** Every stack of one stage, checked by cdk-nag when it is synthesised. */
export function createApp(stage: Stage, { outdir, context = {} }: { outdir: string; context?: object }) {
  const app = new App({ outdir, analyticsReporting: false, context: { ...configuration.context, ...context } })
  const name = (part: string) => `promenade-${stage.name}-${part}`
  const data = new DataStack(app, name('data'), stage)
  const identity = new IdentityStack(app, name('identity'), stage)
  const podIdentity = identity.podEnvironment
  const scaler = new ScalerStack(app, name('scaler'), {
    stage,
    apiKeySecret: data.secrets.runpodApiKey.secretArn,
    podIdentity,
  })
  const { databaseUrl, apiKeys, webhooks: endpoints } = data.secrets
  const database = { DATABASE_URL: databaseUrl.secretArn }
  const api = new ApiStack(app, name('api'), { stage, secrets: { ...database, API_KEYS: apiKeys.secretArn } })
  const webhooks = new WebhooksStack(app, name('webhooks'), {
    stage,
    secrets: { ...database, WEBHOOKS: endpoints.secretArn },
  })
  const alarms = new AlarmsStack(app, name('alarms'), {
    stage,
    scaler: scaler.scaler,
    webhooks: webhooks.sender,
    api: { id: api.apiId, faults: api.faults },
  })
  for (const stack of [identity, scaler, api, webhooks, alarms]) stack.addStackDependency(data)
  Tags.of(app).add('promenade:stage', stage.name)
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
  return { app, data, identity, scaler, api, webhooks, alarms }
}
