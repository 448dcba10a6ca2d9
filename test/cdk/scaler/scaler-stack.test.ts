import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Match } from 'aws-cdk-lib/assertions'
import Value from 'typebox/value'
import { ScalerSettings } from '../../../cdk/scaler/settings.ts'
import { synthesise, testStage } from '../synthesise.ts'

const { scaler } = synthesise(testStage())
const { template } = scaler

test('a round begins each minute, is not tried again, and ends before the next', () => {
  template.hasResourceProperties('AWS::Events::Rule', {
    ScheduleExpression: 'rate(1 minute)',
    State: 'ENABLED',
    Targets: [Match.objectLike({ RetryPolicy: { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 } })],
  })
  // Lambda would try what failed twice again, and what it could not begin for six hours.
  template.hasResourceProperties('AWS::Lambda::EventInvokeConfig', {
    MaximumRetryAttempts: 0,
    MaximumEventAgeInSeconds: 60,
  })
  template.hasResourceProperties('AWS::Lambda::Function', {
    Runtime: 'nodejs24.x',
    Architectures: ['arm64'],
    Timeout: 55,
    ReservedConcurrentExecutions: 1,
  })
})

test('it counts messages, remembers, reads its key and writes its log, and does no more', () => {
  const [policy] = Object.values(template.findResources('AWS::IAM::Policy'))
  const statements: { Sid: string; Action: string | string[] }[] = policy?.Properties.PolicyDocument.Statement
  assert.deepEqual(Object.fromEntries(statements.map(({ Sid, Action }) => [Sid, Action])), {
    WriteItsLog: ['logs:CreateLogStream', 'logs:PutLogEvents'],
    CountUploads: 'sqs:GetQueueAttributes',
    Remember: ['ssm:GetParameter', 'ssm:PutParameter'],
    ReadItsKey: 'secretsmanager:GetSecretValue',
  })
})

test('what it is told is what it reads, and small enough for the environment of a function', () => {
  const text = scalerSettings()
  assert.ok(text.length < 4_000, `${text.length} characters`)
  const settings: unknown = JSON.parse(text)
  assert.deepEqual(Value.Errors(ScalerSettings, settings), [])
})

test('pods are told all that the consumer has to know, secrets by the name that RunPod keeps them under', () => {
  const { environment } = Value.Parse(ScalerSettings, JSON.parse(scalerSettings())).pod
  assert.deepEqual(environment, {
    AWS_REGION: 'eu-west-1',
    BUCKET: 'promenade-testing-<AWS::AccountId>-eu-west-1',
    QUEUE_URL: 'https://sqs.eu-west-1.<AWS::URLSuffix>/<AWS::AccountId>/promenade-testing-uploads',
    DLQ_URL: 'https://sqs.eu-west-1.<AWS::URLSuffix>/<AWS::AccountId>/promenade-testing-dead-letters',
    DATABASE_URL: '{{ RUNPOD_SECRET_promenade_testing_database_url }}',
    MODEL_DIR: '/models',
    MUSIC_MODEL: 'musicgen-small',
    CLASSIFIER_MODEL: 'clip-vit-base-patch32',
    EXECUTION_PROVIDERS: 'cuda',
    BATCH_SIZE: '4',
    TRUST_ANCHOR_ARN: '<output>',
    PROFILE_ARN: '<output>',
    ROLE_ARN: '<output>',
    WORKER_CERTIFICATE: '{{ RUNPOD_SECRET_promenade_testing_certificate }}',
    WORKER_PRIVATE_KEY: '{{ RUNPOD_SECRET_promenade_testing_private_key }}',
  })
})

/** As it stands in the function's environment, with `<name>` for what is known when it is deployed. */
function scalerSettings(): string {
  const [fn] = Object.values(template.findResources('AWS::Lambda::Function'))
  const [, parts] = fn!.Properties.Environment.Variables.SCALER_SETTINGS['Fn::Join'] as [string, unknown[]]
  return parts
    .map((part) => (typeof part === 'string' ? part : `<${(part as { Ref?: string }).Ref ?? 'output'}>`))
    .join('')
}
