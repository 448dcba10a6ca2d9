import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import flags from 'aws-cdk-lib/recommended-feature-flags.json' with { type: 'json' }
import { checkStage, readStage, StageError } from '../../cdk/stage.ts'
import { synthesise, testStage } from './synthesise.ts'

const folder = new URL('../../cdk/stages/', import.meta.url)

test('every stage that is kept is without faults', () => {
  const names = readdirSync(folder).map((file) => file.replace(/\.json$/, ''))
  assert.ok(names.includes('staging') && names.includes('production'))
  for (const name of names) assert.equal(readStage(name).name, name)
})

test('all faults of a stage are said at once', () => {
  const { name, ...stage } = testStage()
  const faulty = { ...stage, region: 'here', app_origins: ['*'], colour: 'red', scaler: { ...stage.scaler, gpus: [] } }
  assert.throws(
    () => checkStage(name, faulty),
    (error) => {
      assert.ok(error instanceof StageError)
      for (const path of ['/region', '/app_origins/0', '/scaler/gpus']) assert.ok(error.message.includes(path), path)
      assert.match(error.message, /additional/)
      return true
    },
  )
})

test('limits that contradict each other are refused', () => {
  const { name, ...stage } = testStage()
  const withLimits = (limits: object) => () => checkStage(name, { ...stage, scaler: { ...stage.scaler, ...limits } })
  assert.throws(withLimits({ min_pods: 4 }), /min_pods must not be above max_pods: 4, 3/)
  assert.throws(withLimits({ start_seconds: 450 }), /start_seconds must be below target_seconds: 450, 450/)
})

test('with the longest times that a stage may set, its alarms are possible', () => {
  const { name, ...stage } = testStage()
  const withTimes = (start_seconds: number, target_seconds: number) =>
    checkStage(name, { ...stage, scaler: { ...stage.scaler, start_seconds, target_seconds } })
  assert.throws(() => withTimes(43_201, 86_400), /\/scaler\/start_seconds/)
  assert.throws(() => withTimes(150, 86_401), /\/scaler\/target_seconds/)
  const { alarms } = synthesise(withTimes(43_200, 86_400))
  const found = Object.values(alarms.template.findResources('AWS::CloudWatch::Alarm'))
  for (const { Properties } of found) {
    const { AlarmName, MetricName, Period = 60, EvaluationPeriods, Threshold } = Properties
    assert.ok(Period * EvaluationPeriods <= 86_400, `${AlarmName}: CloudWatch looks back a day at most`)
    if (MetricName === 'ApproximateAgeOfOldestMessage') assert.ok(Threshold < 345_600, 'messages are kept 4 days')
  }
})

test('a stage is named by letters and digits, and has a file', () => {
  for (const name of ['Staging', '../staging', 'a-b', 'x', '1st']) assert.throws(() => readStage(name), /is no stage/)
  assert.throws(() => readStage('nowhere'), /There is no stage "nowhere"/)
})

test('new behaviour that the CDK recommends is on', () => {
  const { context } = JSON.parse(readFileSync(new URL('../../cdk/cdk.json', import.meta.url), 'utf8'))
  assert.deepEqual(context, flags)
})
