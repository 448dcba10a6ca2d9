import { Stack, Validations } from 'aws-cdk-lib'
import { PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { flattenCfnReference } from 'cdk-nag/lib/utils/flatten-cfn-reference.js'
import type { Construct } from 'constructs'
import { generatedPrefix, uploadsPrefix } from '#shared/contract/key.ts'
import type { ResourceNames } from './resource-names.ts'

// Written out, since `grantRead`, `grantPut` and the like allow more than is used.

/** The consumer: reads pictures, writes music, works off the queue and sends to the dead-letter queue. */
export function workerStatements({ bucket, uploads, deadLetters }: ResourceNames): PolicyStatement[] {
  return [
    reachBucket(bucket),
    allow('ReadPictures', ['s3:GetObject', 's3:GetObjectVersion'], `${bucket.arn}/${uploadsPrefix}*`),
    // Music is written once; what is there already is read.
    allow('WriteMusic', ['s3:GetObject', 's3:PutObject'], `${bucket.arn}/${generatedPrefix}*`),
    allow(
      'WorkOffUploads',
      ['sqs:ChangeMessageVisibility', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage'],
      uploads.arn,
    ),
    allow('SendDeadLetters', ['sqs:GetQueueAttributes', 'sqs:SendMessage'], deadLetters.arn),
  ]
}

/**
 * The API: looks for pictures, signs uploads and downloads, counts messages, sends its own commands, and replays dead letters.
 * `secrets` are ARNs.
 */
export function apiStatements(
  { bucket, uploads, deadLetters }: ResourceNames,
  { secrets }: { secrets: string[] },
): PolicyStatement[] {
  return [
    reachBucket(bucket),
    allow('TakePictures', ['s3:GetObject', 's3:GetObjectVersion', 's3:PutObject'], `${bucket.arn}/${uploadsPrefix}*`),
    allow('HandOutMusic', ['s3:GetObject'], `${bucket.arn}/${generatedPrefix}*`),
    allow('CountUploads', ['sqs:GetQueueAttributes'], uploads.arn),
    allow('SendCommands', ['sqs:SendMessage'], uploads.arn),
    allow(
      'ReplayDeadLetters',
      ['sqs:ChangeMessageVisibility', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage'],
      deadLetters.arn,
    ),
    allow('ReadItsSecrets', ['secretsmanager:GetSecretValue'], ...secrets),
  ]
}

/** The function that sends webhooks: all it works with is in the database. `secrets` are ARNs. */
export function webhooksStatements({ secrets }: { secrets: string[] }): PolicyStatement[] {
  return [allow('ReadItsSecrets', ['secretsmanager:GetSecretValue'], ...secrets)]
}

/** Who runs `npm run dlq`: lists, replays and purges dead letters, and mends what differs between bucket and database. */
export function operatorStatements({ bucket, uploads, deadLetters }: ResourceNames): PolicyStatement[] {
  return [
    reachBucket(bucket),
    allow('ReadPictures', ['s3:GetObject', 's3:GetObjectVersion'], `${bucket.arn}/${uploadsPrefix}*`),
    allow('MendMusic', ['s3:DeleteObject', 's3:GetObject'], `${bucket.arn}/${generatedPrefix}*`),
    allow('SendUploads', ['sqs:GetQueueAttributes', 'sqs:SendMessage'], uploads.arn),
    allow(
      'WorkOffDeadLetters',
      [
        'sqs:CancelMessageMoveTask',
        'sqs:ChangeMessageVisibility',
        'sqs:DeleteMessage',
        'sqs:GetQueueAttributes',
        'sqs:ListMessageMoveTasks',
        'sqs:ReceiveMessage',
        'sqs:SendMessage',
        'sqs:StartMessageMoveTask',
      ],
      deadLetters.arn,
    ),
  ]
}

/** The scaler: counts messages, and remembers from round to round. `apiKey` and `state` are ARNs. */
export function scalerStatements({ uploads }: ResourceNames, { apiKey, state }: { apiKey: string; state: string }) {
  return [
    allow('CountUploads', ['sqs:GetQueueAttributes'], uploads.arn),
    allow('Remember', ['ssm:GetParameter', 'ssm:PutParameter'], state),
    allow('ReadItsKey', ['secretsmanager:GetSecretValue'], apiKey),
  ]
}

/** Also what tells an object that is not there from one that may not be read. */
function reachBucket(bucket: ResourceNames['bucket']): PolicyStatement {
  return allow('ReachBucket', ['s3:ListBucket'], bucket.arn)
}

export function allow(sid: string, actions: string[], ...resources: string[]): PolicyStatement {
  return new PolicyStatement({ sid, actions, resources })
}

/** For cdk-nag, which wants each resource with a wildcard named; to be read beside the statements. */
export function acknowledgeWildcards(policy: Construct, statements: PolicyStatement[], reason: string): void {
  const wild = new Set(statements.flatMap(({ resources }) => resources).filter((resource) => resource.includes('*')))
  for (const resource of wild) {
    const flat = flattenCfnReference(Stack.of(policy).resolve(resource))
    Validations.of(policy).acknowledge({ id: `AwsSolutions-IAM5[Resource::${flat}]`, reason })
  }
}
