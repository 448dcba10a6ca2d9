import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Match } from 'aws-cdk-lib/assertions'
import { anchorOf } from '../../cdk/alarms-stack.ts'
import { metrics, namespace } from '../../cdk/scaler/report.ts'
import { synthesise, testStage } from './synthesise.ts'

const { alarms, api } = synthesise(testStage())
const found = Object.values(alarms.template.findResources('AWS::CloudWatch::Alarm')).map(
  ({ Properties }) => Properties as Alarm,
)

interface Alarm {
  AlarmName: string
  AlarmDescription: string
  AlarmActions: unknown[]
  OKActions: unknown[]
  Namespace?: string
  Dimensions: object[]
  MetricName?: string
  Metrics?: { Expression?: string }[]
  Threshold: number
  EvaluationPeriods: number
  Period: number
  Statistic: string
  ComparisonOperator: string
  TreatMissingData: string
}

test('every alarm links a heading of the runbook that says what to do', () => {
  const runbook = readFileSync(new URL('../../cdk/README.md', import.meta.url), 'utf8')
  const headings = Array.from(runbook.matchAll(/^### (.+)$/gm), ([, heading]) => heading!)
  const anchors = headings.map(anchorOf)
  const linked = found.map(({ AlarmDescription }) => AlarmDescription.match(/example\.org\/runbook#(\S+)$/)?.[1])
  for (const anchor of linked) assert.ok(anchors.includes(anchor!), `the runbook has no heading for ${anchor}`)
  for (const heading of headings) {
    const section = runbook.split(`### ${heading}\n`)[1]?.split('\n### ')[0] ?? ''
    for (const part of ['**Look**', '**Do**']) assert.ok(section.includes(part), `${heading}: ${part}`)
  }
})

test('every alarm is told of by mail, and its end too', () => {
  for (const { AlarmName, AlarmActions, OKActions } of found) {
    assert.equal(AlarmActions.length, 1, AlarmName)
    assert.deepEqual(OKActions, AlarmActions, AlarmName)
  }
  alarms.template.hasResourceProperties('AWS::SNS::Subscription', {
    Protocol: 'email',
    Endpoint: 'operator@app.example',
  })
  alarms.template.hasResourceProperties('AWS::SNS::TopicPolicy', {
    PolicyDocument: {
      Statement: Match.arrayWith([
        Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
        // A topic with a policy of its own has lost the one that lets alarms in.
        Match.objectLike({
          Effect: 'Allow',
          Principal: { Service: 'cloudwatch.amazonaws.com' },
          Action: 'sns:Publish',
          Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
        }),
      ]),
    },
  })
})

test('the alarms are these', () => {
  const lines = found.map(
    ({ MetricName, Metrics, Threshold, EvaluationPeriods, ComparisonOperator, TreatMissingData }) =>
      `${MetricName ?? Metrics?.find(({ Expression }) => Expression)?.Expression} ${ComparisonOperator.startsWith('Less') ? '<' : '>='} ${Threshold}, ${EvaluationPeriods} times, without data ${TreatMissingData}`,
  )
  assert.deepEqual(lines.sort(), [
    'ApiFaults-testing >= 5, 3 times, without data notBreaching',
    'ApproximateAgeOfOldestMessage >= 900, 5 times, without data notBreaching',
    'CostCapReached >= 1, 1 times, without data notBreaching',
    'DIFF(visible + hidden) >= 1, 1 times, without data notBreaching',
    'Errors >= 3, 1 times, without data notBreaching',
    'Errors >= 3, 1 times, without data notBreaching',
    'FailedPods >= 4, 1 times, without data notBreaching',
    'IF(waiting + inWork > 0 AND FILL(done, 0) == 0, 1, 0) >= 1, 30 times, without data notBreaching',
    'Invocations < 1, 2 times, without data breaching',
    'Invocations < 1, 2 times, without data breaching',
    'Latency >= 29000, 5 times, without data notBreaching',
    'PodsWithoutCapacity >= 1, 10 times, without data notBreaching',
    'UnattendedBacklog >= 1, 5 times, without data notBreaching',
    'visible + hidden >= 1, 1 times, without data notBreaching',
  ])
})

test('the functions that nobody waits for are watched each, for errors and for silence', () => {
  for (const metric of ['Errors', 'Invocations']) {
    const watched = found.filter(({ MetricName }) => MetricName === metric)
    const functions = watched.map(({ Dimensions }) => JSON.stringify(Dimensions))
    assert.equal(functions.length, 2)
    for (const name of ['scaler', 'webhooks'])
      assert.ok(
        functions.some((text) => text.includes(`testing-${name}`)),
        `${metric} of ${name}`,
      )
  }
})

test('the README counts them', () => {
  const readme = readFileSync(new URL('../../cdk/README.md', import.meta.url), 'utf8')
  const metrics = found.reduce(
    (sum, { MetricName, Metrics = [] }) =>
      sum + (MetricName ? 1 : Metrics.filter(({ Expression }) => Expression === undefined).length),
    0,
  )
  assert.deepEqual([found.length, metrics], [14, 18])
  assert.match(readme, /fourteen alarms on eighteen metrics/)
})

test('what is watched of the scaler is what the scaler tells', () => {
  const ours = found.filter(({ Namespace, Dimensions }) => Namespace === namespace && Dimensions)
  assert.equal(ours.length, 4)
  for (const { MetricName } of ours) assert.ok(MetricName! in metrics, MetricName)
})

test('what is watched of the API is what its access log tells, but for what became of pictures', () => {
  api.template.hasResourceProperties('AWS::Logs::MetricFilter', {
    FilterPattern: '{ ($.status = "5*") && (($.path != "/analyze") || (($.status != "500") && ($.status != "504"))) }',
    MetricTransformations: [{ MetricNamespace: namespace, MetricName: 'ApiFaults-testing', MetricValue: '1' }],
  })
  const [stage] = Object.values(api.template.findResources('AWS::ApiGatewayV2::Stage'))
  const { status, path } = JSON.parse(stage!.Properties.AccessLogSettings.Format)
  assert.deepEqual([status, path], ['$context.status', '$context.path'])
})

test('that a certificate of the pods ends is told, with where to read what to do', () => {
  alarms.template.hasResourceProperties('AWS::Events::Rule', {
    EventPattern: { source: ['aws.rolesanywhere'], 'detail-type': [{ prefix: 'Roles Anywhere' }] },
    Targets: [
      Match.objectLike({
        InputTransformer: Match.objectLike({
          InputTemplate: Match.stringLikeRegexp('https://example\\.org/runbook#a-certificate-ends"$'),
        }),
      }),
    ],
  })
  const publishers = JSON.stringify(alarms.template.findResources('AWS::SNS::TopicPolicy'))
  assert.match(publishers, /events\.amazonaws\.com/)
  const keys = synthesise(testStage({ pod_identity: 'iam-user' }))
  keys.alarms.template.resourceCountIs('AWS::Events::Rule', 0)
})

test('pods that fail are counted over an hour', () => {
  const failed = found.find(({ MetricName }) => MetricName === 'FailedPods')
  assert.deepEqual([failed?.Statistic, failed?.Period], ['Sum', 3_600])
})
