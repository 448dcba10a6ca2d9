import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Template } from 'aws-cdk-lib/assertions'
import { checkStage, StageError, tunableSettings } from '../../cdk/stage.ts'
import { serviceSettings } from '../../services/api/service.ts'
import { settingNames } from '../../services/consumer/setting-names.ts'
import { authority } from '../database-certificate.ts'
import { certificate } from '../worker-identity.ts'
import { synthesise, testStage } from './synthesise.ts'

const settings = {
  MUSIC_SECONDS: 12.5,
  BATCH_WAIT_MS: 50,
  MAX_GENERATION_SECONDS: 600,
  MAX_IMAGE_BYTES: 50_000_000,
  MAX_IMAGE_PIXELS: 200_000_000,
  LEASE_SECONDS: 120,
  MAX_ATTEMPTS: 20,
  GRACE_SECONDS: 8,
  LOG_LEVEL: 'debug',
} as const
const { worker, ...rest } = testStage()
const stage = testStage({ worker: { ...worker, settings, hf_token: true }, database_ca: authority })
const { data, scaler, api, webhooks } = synthesise(stage)

function environmentOf(template: Template): Record<string, unknown> {
  const [fn] = Object.values(template.findResources('AWS::Lambda::Function'))
  return fn!.Properties.Environment.Variables
}

function podEnvironment(template: Template): Record<string, string> {
  const text = (part: unknown): string => (typeof part === 'string' ? part : 'known at deployment')
  const [, parts] = (environmentOf(template).SCALER_SETTINGS as { 'Fn::Join': [string, unknown[]] })['Fn::Join']
  return JSON.parse(parts.map(text).join('')).pod.environment
}

test('pods have the settings that the stage has', () => {
  const environment = podEnvironment(scaler.template)
  assert.deepEqual(Object.keys(settings).sort(), [...tunableSettings].sort(), 'all that it may have')
  for (const [name, value] of Object.entries(settings)) assert.equal(environment[name], String(value), name)
})

test('what a stage may set is the consumer’s, and no more than its README says', () => {
  const readme = readFileSync(new URL('../../cdk/README.md', import.meta.url), 'utf8')
  const read: readonly string[] = settingNames
  for (const name of tunableSettings) {
    assert.ok(read.includes(name), `${name} is read by the consumer`)
    assert.ok(readme.includes(`\`${name}\``), `${name} is in cdk/README.md`)
  }
  for (const foreign of [
    { BUCKET: 'another' },
    { DATABASE_URL: 'mysql://u@h/d' },
    { BATCH_SIZE: 8 },
    { HF_TOKEN: 'hf_a' },
  ]) {
    const faulty = { ...rest, worker: { ...worker, settings: foreign } }
    assert.throws(() => checkStage('testing', faulty), StageError, Object.keys(foreign)[0])
  }
  const outOfBounds = { ...rest, worker: { ...worker, settings: { LEASE_SECONDS: 1 } } }
  assert.throws(() => checkStage('testing', outOfBounds), /\/worker\/settings\/LEASE_SECONDS must be >= 3/)
})

test('what the API and the webhooks read of it, too, they have alike', () => {
  const ofApi = environmentOf(api.template)
  const read: readonly string[] = serviceSettings
  const shared = Object.entries(settings).filter(([name]) => read.includes(name))
  assert.deepEqual(
    shared.map(([name]) => name),
    ['MAX_IMAGE_BYTES', 'LOG_LEVEL'],
  )
  for (const [name, value] of shared) assert.equal(ofApi[name], String(value), name)
  assert.equal(environmentOf(webhooks.template).LOG_LEVEL, 'debug')
})

test('the queue hides a message for as long as a lease, and SQS gives none up that an outage of 4 days keeps from being done', () => {
  data.template.hasResourceProperties('AWS::SQS::Queue', {
    QueueName: 'promenade-testing-uploads',
    VisibilityTimeout: 120,
    RedrivePolicy: { maxReceiveCount: 1000 },
  })
})

test('what a stage does not set is left to the services', () => {
  const plain = synthesise(testStage())
  const none = [...tunableSettings, 'HF_TOKEN', 'DATABASE_CA']
  for (const environment of [
    podEnvironment(plain.scaler.template),
    environmentOf(plain.api.template),
    environmentOf(plain.webhooks.template),
  ]) {
    assert.deepEqual(
      none.filter((name) => name in environment),
      [],
    )
  }
})

test('the token of the hub is a secret of RunPod’s, ordered only where the stage says that there is one', () => {
  assert.equal(podEnvironment(scaler.template).HF_TOKEN, '{{ RUNPOD_SECRET_promenade_testing_hf_token }}')
  assert.throws(() => checkStage('testing', { ...rest, worker: { ...worker, hf_token: 'hf_abc' } }), /hf_token/)
})

test('all that ask the database trust the authority of the stage', () => {
  for (const { template } of [api, webhooks]) assert.equal(environmentOf(template).DATABASE_CA, authority)
  assert.equal(podEnvironment(scaler.template).DATABASE_CA, '{{ RUNPOD_SECRET_promenade_testing_database_ca }}')
})

test('of what is given as an authority, certificates alone are kept', () => {
  const { database_ca } = testStage({ database_ca: `subject=/CN=a\n${authority.replaceAll('\n', '\\n')}# b` })
  assert.equal(database_ca, authority)
  for (const wrong of ['/etc/ssl/ca.pem', authority.slice(0, -60)]) {
    const check = () => testStage({ database_ca: wrong })
    assert.throws(check, /\/database_ca holds no certificates in PEM, or a damaged one/)
  }
})

test('an environment that Lambda would refuse is told before anything is deployed', () => {
  const bundle = testStage({ database_ca: `${authority}${certificate}`.repeat(4) })
  assert.throws(
    () => synthesise(bundle),
    (error) => {
      assert.ok(error instanceof StageError)
      assert.match(error.message, /^promenade-testing-api: .* about \d,\d{3} bytes, and Lambda takes 4,096/)
      return true
    },
  )
})
