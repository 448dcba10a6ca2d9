import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Match } from 'aws-cdk-lib/assertions'
import { synthesise, testStage } from './synthesise.ts'

const { data, identity } = synthesise(testStage())

test('what must not be lost keeps its logical id, and outlives its stack', () => {
  const stateful = Object.entries(data.template.toJSON().Resources as Record<string, Resource>).filter(([, { Type }]) =>
    ['AWS::S3::Bucket', 'AWS::SQS::Queue', 'AWS::SecretsManager::Secret'].includes(Type),
  )
  assert.deepEqual(
    stateful.map(([id, { Type }]) => `${id}: ${Type}`),
    [
      'DeadLetterQueue: AWS::SQS::Queue',
      'UploadQueue: AWS::SQS::Queue',
      'AccessLogs: AWS::S3::Bucket',
      'Bucket: AWS::S3::Bucket',
      'DatabaseUrl: AWS::SecretsManager::Secret',
      'ApiKeys: AWS::SecretsManager::Secret',
      'Webhooks: AWS::SecretsManager::Secret',
      'RunpodApiKey: AWS::SecretsManager::Secret',
    ],
  )
  for (const [id, { DeletionPolicy, UpdateReplacePolicy }] of stateful) {
    assert.deepEqual([DeletionPolicy, UpdateReplacePolicy], ['Retain', 'Retain'], id)
  }
  assert.equal(data.stack.terminationProtection, true)
})

interface Resource {
  Type: string
  DeletionPolicy?: string
  UpdateReplacePolicy?: string
}

test('the bucket is private, versioned, encrypted and logged, and forgets what is left over', () => {
  data.template.allResourcesProperties('AWS::S3::Bucket', {
    PublicAccessBlockConfiguration: {
      BlockPublicAcls: true,
      BlockPublicPolicy: true,
      IgnorePublicAcls: true,
      RestrictPublicBuckets: true,
    },
    OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
    BucketEncryption: {
      ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
    },
  })
  data.template.hasResourceProperties('AWS::S3::Bucket', {
    BucketName: { 'Fn::Join': ['', ['promenade-testing-', { Ref: 'AWS::AccountId' }, '-eu-west-1']] },
    VersioningConfiguration: { Status: 'Enabled' },
    LoggingConfiguration: { DestinationBucketName: { Ref: 'AccessLogs' }, LogFilePrefix: 'bucket/' },
    LifecycleConfiguration: {
      Rules: [
        { AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 }, Status: 'Enabled' },
        {
          NoncurrentVersionExpiration: { NoncurrentDays: 30 },
          ExpiredObjectDeleteMarker: true,
          Status: 'Enabled',
        },
      ],
    },
    CorsConfiguration: {
      CorsRules: [{ AllowedOrigins: ['https://app.example'], AllowedMethods: ['GET', 'HEAD', 'POST', 'PUT'] }],
    },
  })
})

test('the page that the API serves may upload and play, too, where the stage names its domain', () => {
  const domain = { name: 'api.app.example', certificate_arn: 'arn:aws:acm:eu-west-1:123456789012:certificate/1' }
  const { api } = testStage()
  const withDomain = synthesise(testStage({ api: { ...api, domain } }))
  withDomain.data.template.hasResourceProperties('AWS::S3::Bucket', {
    CorsConfiguration: { CorsRules: [{ AllowedOrigins: ['https://app.example', 'https://api.app.example'] }] },
  })
})

test('an upload, and nothing else, is announced on the queue', () => {
  const { NotificationConfiguration: notification } = data.template.toJSON().Resources.Bucket.Properties
  assert.deepEqual(notification, {
    QueueConfigurations: [
      {
        Event: 's3:ObjectCreated:*',
        Filter: { S3Key: { Rules: [{ Name: 'prefix', Value: 'uploads/' }] } },
        Queue: { 'Fn::GetAtt': ['UploadQueue', 'Arn'] },
      },
    ],
  })
  const [policyId] = Object.entries(data.template.findResources('AWS::SQS::QueuePolicy')).find(([id]) =>
    id.startsWith('UploadQueue'),
  )!
  assert.ok(data.template.toJSON().Resources.Bucket.DependsOn.includes(policyId), 'S3 tries the queue at once')
  data.template.hasResourceProperties('AWS::SQS::QueuePolicy', {
    PolicyDocument: {
      Statement: Match.arrayWith([
        Match.objectLike({
          Effect: 'Allow',
          Principal: { Service: 's3.amazonaws.com' },
          Action: 'sqs:SendMessage',
          Condition: {
            ArnEquals: {
              'aws:SourceArn': {
                'Fn::Join': [
                  '',
                  [
                    'arn:',
                    { Ref: 'AWS::Partition' },
                    ':s3:::promenade-testing-',
                    { Ref: 'AWS::AccountId' },
                    '-eu-west-1',
                  ],
                ],
              },
            },
            StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } },
          },
        }),
      ]),
    },
  })
})

test('messages wait 4 days, dead letters 14, both encrypted, and only the one queue may redrive to the other', () => {
  data.template.allResourcesProperties('AWS::SQS::Queue', { SqsManagedSseEnabled: true })
  data.template.hasResourceProperties('AWS::SQS::Queue', {
    QueueName: 'promenade-testing-uploads',
    MessageRetentionPeriod: 4 * 86_400,
    VisibilityTimeout: 60,
    RedrivePolicy: { deadLetterTargetArn: { 'Fn::GetAtt': ['DeadLetterQueue', 'Arn'] }, maxReceiveCount: 1000 },
  })
  data.template.hasResourceProperties('AWS::SQS::Queue', {
    QueueName: 'promenade-testing-dead-letters',
    MessageRetentionPeriod: 14 * 86_400,
    RedriveAllowPolicy: {
      redrivePermission: 'byQueue',
      sourceQueueArns: [
        {
          'Fn::Join': [
            '',
            [
              'arn:',
              { Ref: 'AWS::Partition' },
              ':sqs:eu-west-1:',
              { Ref: 'AWS::AccountId' },
              ':promenade-testing-uploads',
            ],
          ],
        },
      ],
    },
  })
})

test('what is not sent by TLS is refused by every bucket and queue', () => {
  const policies = [
    ...Object.values(data.template.findResources('AWS::S3::BucketPolicy')),
    ...Object.values(data.template.findResources('AWS::SQS::QueuePolicy')),
  ]
  assert.equal(policies.length, 4)
  for (const { Properties } of policies) {
    const denied = Properties.PolicyDocument.Statement.filter(({ Effect }: { Effect: string }) => Effect === 'Deny')
    assert.deepEqual(denied[0].Condition, { Bool: { 'aws:SecureTransport': 'false' } })
    assert.deepEqual(denied[0].Principal, { AWS: '*' })
  }
})

test('a worker is whoever has a certificate of the authority with its name on it', () => {
  identity.template.hasResourceProperties('AWS::IAM::Role', {
    RoleName: 'promenade-testing-worker',
    AssumeRolePolicyDocument: {
      Statement: [
        {
          Action: ['sts:AssumeRole', 'sts:SetSourceIdentity', 'sts:TagSession'],
          Effect: 'Allow',
          Principal: { Service: 'rolesanywhere.amazonaws.com' },
          Condition: {
            ArnEquals: { 'aws:SourceArn': { 'Fn::GetAtt': ['TrustAnchor', 'TrustAnchorArn'] } },
            StringEquals: { 'aws:PrincipalTag/x509Subject/CN': 'promenade-testing-worker' },
          },
        },
      ],
    },
  })
  identity.template.hasResourceProperties('AWS::RolesAnywhere::Profile', { DurationSeconds: 3600, Enabled: true })
  identity.template.resourceCountIs('AWS::IAM::User', 0)
})

test('a user has exactly the rights of the role', () => {
  const { identity: fallback } = synthesise(testStage({ pod_identity: 'iam-user' }))
  const policyOf = (template: typeof identity.template) =>
    Object.values(template.findResources('AWS::IAM::ManagedPolicy')).find(
      ({ Properties }) => Properties.ManagedPolicyName === 'promenade-testing-worker',
    )?.Properties.PolicyDocument
  assert.deepEqual(policyOf(fallback.template), policyOf(identity.template))
  assert.equal(policyOf(fallback.template).Statement.length, 5)
  fallback.template.resourceCountIs('AWS::IAM::User', 1)
  fallback.template.resourceCountIs('AWS::IAM::AccessKey', 0)
  fallback.template.resourceCountIs('AWS::RolesAnywhere::TrustAnchor', 0)
})
