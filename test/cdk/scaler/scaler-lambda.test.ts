import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ScalerSettings } from '../../../cdk/scaler/settings.ts'
import { startFakeAws } from '../../fake-aws.ts'
import { problem, startFakeRunpod } from '../../fake-runpod.ts'
import { bundleOf, runBundle } from '../bundle.ts'
import { synthesise, testStage } from '../synthesise.ts'

const apiKey = 'rpa_the-key'
const { outdir, scaler } = synthesise(testStage(), { bundles: true })
const { Resources: resources } = scaler.template.toJSON()
const bundle = bundleOf(scaler.stack, outdir)

test('the bundled function sees the queue, orders pods, remembers, and reports in one line', async (t) => {
  const { runpod, aws, states, run } = await start(t, { visible: '150', inFlight: '50' })
  const { report, error, size } = await run()
  assert.equal(error, undefined)
  assert.equal(runpod.pods.size, 2)
  assert.equal(report.Backlog, 200)
  assert.equal(report.CreatedPods, 2)
  assert.equal(report.Stage, 'testing')
  assert.match(report.reason, /^200 in the queue take 2 pods/)
  const [state] = states
  assert.equal(JSON.parse(state ?? '').spentUsd, 0)

  const policies = Object.values(resources as Record<string, Resource>).filter(
    ({ Type }) => Type === 'AWS::IAM::Policy',
  )
  const allowed = policies
    .flatMap(({ Properties }) => Properties.PolicyDocument.Statement.flatMap(({ Action }) => Action))
    .filter((action) => !action.startsWith('logs:'))
  assert.deepEqual([...aws.operations].sort(), allowed.sort(), 'it may do what it does, and nothing else')
  t.diagnostic(size)
})

interface Resource {
  Type: string
  Properties: { PolicyDocument: { Statement: { Action: string | string[] }[] } }
}

test('what went wrong ends the round as an error, after its report, without the key', async (t) => {
  const { runpod, run } = await start(t, { visible: '1', inFlight: '0' })
  runpod.answers.push({ status: 200, body: { pods: [] } }, problem(402, `no balance for ${apiKey}`))
  const { report, error, output } = await run()
  assert.equal(error, 'Error: POST /v2/pods: 402 no balance for ***')
  assert.deepEqual(report.faults, ['POST /v2/pods: 402 no balance for ***'])
  assert.ok(!output.includes(apiKey))
})

test('a state that nobody can read is taken for none', async (t) => {
  const { runpod, states, run } = await start(t, { visible: '1', inFlight: '0' })
  states.unshift('{"countedAt":"yesterday"}')
  assert.equal((await run()).error, undefined)
  assert.equal(runpod.pods.size, 1)
})

test('a state of an earlier release is read', async (t) => {
  const { states, run } = await start(t, { visible: '0', inFlight: '0' })
  states.unshift(JSON.stringify({ countedAt: Date.now(), spentUsd: 2.5 }))
  assert.equal((await run()).error, undefined)
  assert.equal(JSON.parse(states[0]!).spentUsd, 2.5)
})

async function start(t: TestContext, { visible, inFlight }: { visible: string; inFlight: string }) {
  const runpod = await startFakeRunpod({ apiKey, now: Date.now })
  t.after(() => runpod.stop())
  /** The newest first. */
  const states = ['null']
  const aws = await startFakeAws({
    GetSecretValue: () => ({ SecretString: `${apiKey}\n` }),
    GetQueueAttributes: () => ({
      Attributes: { ApproximateNumberOfMessages: visible, ApproximateNumberOfMessagesNotVisible: inFlight },
    }),
    GetParameter: ({ Name }) => ({ Parameter: { Name, Value: states[0] } }),
    PutParameter: ({ Value, Overwrite }) => {
      assert.equal(Overwrite, true)
      states.unshift(String(Value))
      return { Version: states.length }
    },
  })
  t.after(() => aws.stop())
  const { name: stage, worker, scaler: limits } = testStage()
  const settings: ScalerSettings = {
    stage,
    queue_url: `${aws.endpoint}/1/uploads`,
    state_parameter: '/promenade/testing/scaler',
    api_key_secret: 'arn:of-the-key',
    endpoint: runpod.endpoint,
    limits,
    pod: { image: worker.image, disk_gb: 20, model_path: '/models', environment: {} },
  }
  const env = {
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_ENDPOINT_URL: aws.endpoint,
    SCALER_SETTINGS: JSON.stringify(settings),
  }
  return {
    runpod,
    aws,
    states,
    async run() {
      const { log, answers, output, size } = await runBundle(bundle, { env, events: [{}] })
      return { report: JSON.parse(log[0]!), error: answers[0]?.error, output, size }
    },
  }
}
