import { CfnOutput, CfnResource, Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib'
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import * as s3 from 'aws-cdk-lib/aws-s3'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { type CfnQueuePolicy, Queue, QueueEncryption, RedrivePermission } from 'aws-cdk-lib/aws-sqs'
import type { Construct } from 'constructs'
import Value from 'typebox/value'
import { bucketCors } from '#shared/contract/bucket-cors.ts'
import { uploadsPrefix } from '#shared/contract/key.ts'
import { settings } from '#shared/contract/setting.ts'
import { namesOf, type ResourceNames } from './resource-names.ts'
import { environmentOf, type Stage } from './stage.ts'

/**
 * As many as SQS allows. Failed tries are counted in the database and dead-lettered with their reason; receives also count
 * what is nobody's failure, and SQS dead-letters without a reason. An outage of 4 days comes to some 800 of them at most.
 */
const maxReceiveCount = 1_000
/** Of pictures and music that were overwritten or deleted. */
const oldVersionDays = 30
const accessLogDays = 90

/** What must outlive every other stack: pictures and music, what is queued, and the secrets. */
export class DataStack extends Stack {
  readonly bucket: s3.Bucket
  readonly uploads: Queue
  readonly deadLetters: Queue
  readonly secrets: ReturnType<typeof createSecrets>

  constructor(scope: Construct, id: string, stage: Stage) {
    super(scope, id, {
      env: environmentOf(stage),
      description: 'Promenade: bucket, queues and secrets',
      terminationProtection: true,
    })
    const names = namesOf(stage)
    this.deadLetters = createDeadLetters(this, names)
    this.uploads = createUploads(this, stage, this.deadLetters)
    const policy = allowNotifications(this.uploads, names)
    this.bucket = createBucket(this, { bucketName: names.bucket.name, origins: pageOrigins(stage) })
    notify(this.bucket, this.uploads, policy)
    this.secrets = createSecrets(this, stage)
    for (const [name, value] of Object.entries({
      BucketName: this.bucket.bucketName,
      QueueUrl: this.uploads.queueUrl,
      DlqUrl: this.deadLetters.queueUrl,
    })) {
      new CfnOutput(this, name, { value })
    }
  }
}

/** The app's pages, and the page that the API serves itself, where its address is known beforehand. */
function pageOrigins({ app_origins: origins, api: { domain } }: Stage): string[] {
  return [...new Set([...origins, ...(domain ? [`https://${domain.name}`] : [])])]
}

function createDeadLetters(scope: Construct, { uploads, deadLetters }: ResourceNames): Queue {
  const queue = new Queue(scope, 'DeadLetterQueue', {
    queueName: deadLetters.name,
    encryption: QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    // Above the other's: a letter keeps the time of its first enqueueing.
    retentionPeriod: Duration.days(14),
    removalPolicy: RemovalPolicy.RETAIN,
    redriveAllowPolicy: {
      redrivePermission: RedrivePermission.BY_QUEUE,
      // By name: referring to the queue that refers to this one would be a cycle.
      sourceQueues: [Queue.fromQueueArn(scope, 'Source', uploads.arn)],
    },
  })
  return pinned(queue, 'DeadLetterQueue')
}

function createUploads(scope: Construct, stage: Stage, deadLetters: Queue): Queue {
  const { uploads } = namesOf(stage)
  const { LEASE_SECONDS: leaseSeconds = Value.Create(settings.LEASE_SECONDS) } = stage.worker.settings ?? {}
  const queue = new Queue(scope, 'UploadQueue', {
    queueName: uploads.name,
    encryption: QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    retentionPeriod: Duration.days(4),
    visibilityTimeout: Duration.seconds(leaseSeconds),
    receiveMessageWaitTime: Duration.seconds(20),
    deadLetterQueue: { queue: deadLetters, maxReceiveCount },
    removalPolicy: RemovalPolicy.RETAIN,
  })
  return pinned(queue, 'UploadQueue')
}

/** S3 may send for this bucket of this account only; the bucket by its name, since it is made after this. */
function allowNotifications(queue: Queue, { bucket, account }: ResourceNames) {
  queue.addToResourcePolicy(
    new PolicyStatement({
      sid: 'NotificationsOfTheBucket',
      principals: [new ServicePrincipal('s3.amazonaws.com')],
      actions: ['sqs:SendMessage'],
      resources: [queue.queueArn],
      conditions: {
        ArnEquals: { 'aws:SourceArn': bucket.arn },
        StringEquals: { 'aws:SourceAccount': account },
      },
    }),
  )
  return queue.node.findChild('Policy').node.defaultChild as CfnQueuePolicy
}

function createBucket(scope: Construct, { bucketName, origins }: { bucketName: string; origins: string[] }): s3.Bucket {
  const secure = {
    blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
    objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
    encryption: s3.BucketEncryption.S3_MANAGED,
    enforceSSL: true,
    minimumTLSVersion: 1.2,
    removalPolicy: RemovalPolicy.RETAIN,
  }
  const logs = new s3.Bucket(scope, 'AccessLogs', {
    ...secure,
    lifecycleRules: [{ id: 'forget', expiration: Duration.days(accessLogDays) }],
  })
  pinned(logs, 'AccessLogs')
  const bucket = new s3.Bucket(scope, 'Bucket', {
    ...secure,
    bucketName,
    versioned: true,
    serverAccessLogsBucket: logs as s3.IBucket,
    serverAccessLogsPrefix: 'bucket/',
    lifecycleRules: [
      { id: 'incomplete-uploads', abortIncompleteMultipartUploadAfter: Duration.days(1) },
      {
        id: 'old-versions',
        noncurrentVersionExpiration: Duration.days(oldVersionDays),
        expiredObjectDeleteMarker: true,
      },
    ],
    cors: [
      {
        allowedOrigins: origins,
        allowedMethods: bucketCors.allowedMethods.map((method) => s3.HttpMethods[method]),
        allowedHeaders: bucketCors.allowedHeaders,
        exposedHeaders: bucketCors.exposedHeaders,
        maxAge: bucketCors.maxAgeSeconds,
      },
    ],
  })
  return pinned(bucket, 'Bucket')
}

/** The template's own notification: `addEventNotification` would bring a Lambda with rights on every bucket. */
function notify(bucket: s3.Bucket, queue: Queue, policy: CfnQueuePolicy): void {
  const resource = bucket.node.defaultChild as s3.CfnBucket
  resource.notificationConfiguration = {
    queueConfigurations: [
      {
        event: 's3:ObjectCreated:*',
        queue: queue.queueArn,
        filter: { s3Key: { rules: [{ name: 'prefix', value: uploadsPrefix }] } },
      },
    ],
  }
  // S3 tries the queue before it takes the configuration.
  resource.addResourceDependency(policy)
}

/** Values are put in by hand once they are there; until then each is random, and opens nothing. */
function createSecrets(scope: Construct, stage: Stage) {
  const create = (id: string, name: string, description: string) => {
    const secret = new Secret(scope, id, {
      secretName: `promenade/${stage.name}/${name}`,
      description,
      removalPolicy: RemovalPolicy.RETAIN,
    })
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason:
        'Its value is made by another party, which offers no rotation; the runbook says how it is changed by hand.',
    })
    return pinned(secret, id)
  }
  return {
    databaseUrl: create('DatabaseUrl', 'database-url', 'DATABASE_URL of the API'),
    apiKeys: create('ApiKeys', 'api-keys', 'API_KEYS of the API'),
    webhooks: create('Webhooks', 'webhooks', 'Webhook endpoints and their signing secrets'),
    runpodApiKey: create('RunpodApiKey', 'runpod-api-key', 'Key with which pods are made and ended'),
  }
}

/** A logical id that no renaming of constructs changes: another id would be another, empty resource. */
function pinned<T extends Construct>(construct: T, logicalId: string): T {
  const resource = construct.node.defaultChild
  if (!CfnResource.isCfnResource(resource)) throw new TypeError(`${construct.node.path} has no resource of its own`)
  resource.overrideLogicalId(logicalId)
  return construct
}
