import { Duration, Stack } from 'aws-cdk-lib'
import { Rule, Schedule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets'
import type { Construct } from 'constructs'
import { createFunction } from './bundled-function.ts'
import { webhooksStatements } from './permissions.ts'
import { environmentOf, type Stage } from './stage.ts'

const everySeconds = 60
const timeoutSeconds = 55

/** Tells the apps' servers which jobs have ended, once a minute. `secrets`: settings, and the ARNs of what holds their values. */
export class WebhooksStack extends Stack {
  constructor(scope: Construct, id: string, { stage, secrets }: { stage: Stage; secrets: Record<string, string> }) {
    super(scope, id, { env: environmentOf(stage), description: 'Promenade: webhooks' })
    const sender = createFunction(this, 'Sender', {
      entry: 'services/api/webhooks/main.lambda.ts',
      description: 'Sends webhooks from the queue in the database',
      timeoutSeconds,
      memoryMb: 256,
      environment: { SECRETS: this.toJsonString(secrets) },
      statements: webhooksStatements({ secrets: Object.values(secrets) }),
    })
    new Rule(this, 'EveryMinute', {
      schedule: Schedule.rate(Duration.seconds(everySeconds)),
      targets: [new LambdaFunction(sender, { retryAttempts: 0, maxEventAge: Duration.seconds(everySeconds) })],
    })
  }
}
