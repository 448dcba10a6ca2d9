import { Stack } from 'aws-cdk-lib'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { Construct } from 'constructs'
import { callEveryMinute, createFunction } from './bundled-function.ts'
import { webhooksStatements } from './permissions.ts'
import { environmentOf, type Stage, settingsOf } from './stage.ts'

/** One call ends before the next begins. */
const timeoutSeconds = 55

/** Tells the apps' servers which jobs have ended, once a minute. `secrets`: settings, and the ARNs of what holds their values. */
export class WebhooksStack extends Stack {
  readonly sender: IFunction

  constructor(scope: Construct, id: string, { stage, secrets }: { stage: Stage; secrets: Record<string, string> }) {
    super(scope, id, { env: environmentOf(stage), description: 'Promenade: webhooks' })
    const sender = createFunction(this, 'Sender', {
      entry: 'services/api/webhooks/main.lambda.ts',
      description: 'Sends webhooks from the queue in the database',
      timeoutSeconds,
      memoryMb: 256,
      // Kept for it: calls that the API holds may take all others of the account.
      concurrency: 1,
      environment: {
        ...(stage.database_ca && { DATABASE_CA: stage.database_ca }),
        ...settingsOf(stage, ['LOG_LEVEL']),
        SECRETS: this.toJsonString(secrets),
      },
      statements: webhooksStatements({ secrets: Object.values(secrets) }),
    })
    callEveryMinute(this, sender)
    this.sender = sender
  }
}
