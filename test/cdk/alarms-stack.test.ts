import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Match } from 'aws-cdk-lib/assertions'
import { anchorOf } from '../../cdk/alarms-stack.ts'
import { metrics, namespace } from '../../cdk/scaler/report.ts'
import { synthesise, testStage } from './synthesise.ts'

const { alarms } = synthesise(testStage())
const found = Object.values(alarms.template.findResources('AWS::CloudWatch::Alarm')).map(
  ({ Properties }) => Properties as Alarm,
)

interface Alarm {
  AlarmName: string
  AlarmDescription: string
  AlarmActions: unknown[]
  OKActions: unknown[]
  Namespace: string
  Dimensions: object[]
  MetricName: string
  Threshold: number
  EvaluationPeriods: number
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
    ({ MetricName, Threshold, EvaluationPeriods, ComparisonOperator, TreatMissingData }) =>
      `${MetricName} ${ComparisonOperator.startsWith('Less') ? '<' : '>='} ${Threshold}, ${EvaluationPeriods} times, without data ${TreatMissingData}`,
  )
  assert.deepEqual(lines.sort(), [
    '5xx >= 5, 3 times, without data notBreaching',
    'ApproximateAgeOfOldestMessage >= 900, 5 times, without data notBreaching',
    'ApproximateNumberOfMessagesVisible >= 1, 1 times, without data notBreaching',
    'CostCapReached >= 1, 1 times, without data notBreaching',
    'Errors >= 3, 1 times, without data notBreaching',
    'Errors >= 3, 1 times, without data notBreaching',
    'Invocations < 1, 2 times, without data breaching',
    'Latency >= 29000, 5 times, without data notBreaching',
    'PodsWithoutCapacity >= 1, 10 times, without data notBreaching',
    'UnattendedBacklog >= 1, 5 times, without data notBreaching',
  ])
})

test('the functions that nobody waits for are watched each', () => {
  const watched = found.filter(({ MetricName }) => MetricName === 'Errors')
  const functions = watched.map(({ Dimensions }) => JSON.stringify(Dimensions))
  assert.equal(functions.length, 2)
  for (const name of ['scaler', 'webhooks'])
    assert.ok(
      functions.some((text) => text.includes(`testing-${name}`)),
      name,
    )
})

test('what is watched of the scaler is what the scaler tells', () => {
  const ours = found.filter(({ Namespace }) => Namespace === namespace)
  assert.equal(ours.length, 3)
  for (const { MetricName } of ours) assert.ok(MetricName in metrics, MetricName)
})
