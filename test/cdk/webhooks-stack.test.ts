import assert from 'node:assert/strict'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { openDatabase } from '#shared/db/client.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { startStack } from '../../services/local/stack.ts'
import { startFakeAws } from '../fake-aws.ts'
import { analysisOf, uploadOf } from '../job.ts'
import { bundleOf, runBundle } from './bundle.ts'
import { synthesise, testStage } from './synthesise.ts'

const { outdir, webhooks } = synthesise(testStage(), { bundles: true })
const secret = `whsec_${Buffer.alloc(24, 7).toString('base64')}`

test('it runs once a minute, and is told its secrets by their ARNs alone', () => {
  webhooks.template.hasResourceProperties('AWS::Events::Rule', { ScheduleExpression: 'rate(1 minute)' })
  webhooks.template.hasResourceProperties('AWS::Lambda::EventInvokeConfig', { MaximumRetryAttempts: 0 })
  const [fn] = Object.values(webhooks.template.findResources('AWS::Lambda::Function'))
  assert.match(JSON.stringify(fn!.Properties.Environment.Variables.SECRETS), /DATABASE_URL.*WEBHOOKS/)
  assert.ok(fn!.Properties.Timeout < 60, 'one ends before the next begins')
  assert.equal(fn!.Properties.ReservedConcurrentExecutions, 1, 'calls of the API take no room from it')
})

test('the bundled function sends what is due, and again what has come since', async (t) => {
  const local = await startStack()
  t.after(local.close)
  const received: { headers: IncomingHttpHeaders; body: string }[] = []
  const server = createServer(async (request, response) => {
    received.push({ headers: request.headers, body: await text(request) })
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks`
  const endpoints = JSON.stringify([{ url, secrets: [secret], allow_http: true }])
  const aws = await startFakeAws({
    GetSecretValue: ({ SecretId }) => ({
      SecretString: SecretId === 'arn:webhooks' ? endpoints : local.env.DATABASE_URL,
    }),
  })
  t.after(() => aws.stop())
  const database = openDatabase({ url: local.env.DATABASE_URL!, tls: 'off' })
  t.after(database.close)
  const jobs = createJobs({ database })
  const upload = uploadOf('uploads/told.jpg', { bucket: local.env.BUCKET! })
  const id = await jobs.receive(upload)
  await jobs.claim(id, { token: 'a', leaseSeconds: 60 })
  await jobs.succeed({ id, token: 'a', analysis: analysisOf(upload) })

  const env = {
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_ENDPOINT_URL_SECRETS_MANAGER: aws.endpoint,
    SECRETS: JSON.stringify({ DATABASE_URL: 'arn:database', WEBHOOKS: 'arn:webhooks' }),
    DATABASE_TLS: 'off',
    WEBHOOKS_ALLOW_PRIVATE: '127.0.0.1',
    LOG_LEVEL: 'warn',
  }
  const { answers, log, size } = await runBundle(bundleOf(webhooks.stack, outdir), { env, events: [{}, {}] })
  assert.deepEqual([answers, log], [[{}, {}], []])
  assert.equal(received.length, 1, 'the second run has nothing to tell')
  const [{ headers, body }] = received as [(typeof received)[number]]
  new Webhook(secret).verify(body, headers as Record<string, string>)
  const { type, data } = JSON.parse(body)
  assert.deepEqual([type, data.key], ['result.succeeded', 'uploads/told.jpg'])
  assert.deepEqual([...aws.operations], ['secretsmanager:GetSecretValue'])
  t.diagnostic(size)
})
