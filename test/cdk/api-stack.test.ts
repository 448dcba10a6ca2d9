import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { brotliDecompressSync } from 'node:zlib'
import { App } from 'aws-cdk-lib'
import { Match, Template } from 'aws-cdk-lib/assertions'
import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda'
import { ApiStack } from '../../cdk/api-stack.ts'
import { bundlePage } from '../../services/api/bundle-page.ts'
import { createPage } from '../../services/api/page.ts'
import { optionalSettings, serviceSettings } from '../../services/api/service.ts'
import { type Stack as LocalStack, startStack } from '../../services/local/stack.ts'
import { startFakeAws } from '../fake-aws.ts'
import { bundleOf, runBundle } from './bundle.ts'
import { synthesise, testStage, withoutBundles } from './synthesise.ts'

const { outdir, api } = synthesise(testStage(), { bundles: true })
const { template } = api
const key = 'a-key-of-the-app'

let local: LocalStack
let secrets: Awaited<ReturnType<typeof startFakeAws>>

before(async () => {
  local = await startStack()
  secrets = await startFakeAws({
    GetSecretValue: ({ SecretId }) => ({ SecretString: SecretId === 'arn:keys' ? key : local.env.DATABASE_URL }),
  })
})

after(async () => {
  await secrets.stop()
  await local.close()
})

test('the gateway limits requests, and notes each of them', () => {
  template.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
    StageName: '$default',
    AutoDeploy: true,
    DefaultRouteSettings: { ThrottlingRateLimit: 50, ThrottlingBurstLimit: 100 },
    AccessLogSettings: { Format: Match.stringLikeRegexp('"request_id":"\\$context.requestId"') },
  })
  template.hasResourceProperties('AWS::ApiGatewayV2::Integration', { PayloadFormatVersion: '2.0' })
  template.hasResourceProperties('AWS::ApiGatewayV2::Api', { DisableExecuteApiEndpoint: false })
})

test('the function is told settings that it reads, and secrets by their ARNs alone', () => {
  const [fn] = Object.values(template.findResources('AWS::Lambda::Function'))
  const { Variables: variables } = fn!.Properties.Environment
  const read: readonly string[] = [...serviceSettings, ...optionalSettings, 'SECRETS', 'NODE_OPTIONS']
  for (const name of Object.keys(variables)) assert.ok(read.includes(name), name)
  assert.ok(!('DATABASE_URL' in variables) && !('API_KEYS' in variables))
  assert.match(JSON.stringify(variables.SECRETS), /DATABASE_URL.*API_KEYS/)
  assert.ok(fn!.Properties.Timeout < 30, 'it ends before the gateway gives up')
})

test('a domain of its own is the only way in', () => {
  const domain = { name: 'api.promenade.example', certificate_arn: 'arn:aws:acm:eu-west-1:123456789012:certificate/1' }
  const secretArn = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:keys'
  const stage = testStage({ api: { ...testStage().api, domain } })
  const own = Template.fromStack(
    new ApiStack(new App({ outdir, context: withoutBundles }), 'own', { stage, secrets: { API_KEYS: secretArn } }),
  )
  own.hasResourceProperties('AWS::ApiGatewayV2::Api', { DisableExecuteApiEndpoint: true })
  own.hasResourceProperties('AWS::ApiGatewayV2::DomainName', {
    DomainName: domain.name,
    DomainNameConfigurations: [Match.objectLike({ CertificateArn: domain.certificate_arn, SecurityPolicy: 'TLS_1_2' })],
  })
  own.resourceCountIs('AWS::ApiGatewayV2::ApiMapping', 1)
})

test('the bundled API answers the events of an HTTP API', async (t) => {
  const env = {
    ...local.env,
    DATABASE_URL: '',
    DATABASE_TLS: 'off',
    LOG_LEVEL: 'warn',
    AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint,
    SECRETS: JSON.stringify({ DATABASE_URL: 'arn:database', API_KEYS: 'arn:keys' }),
  }
  const page = createPage(await bundlePage())
  const script = [...page.files.keys()].find((name) => name.endsWith('.js'))
  const events = [
    eventOf('/healthz'),
    eventOf('/readyz'),
    eventOf('/openapi.json'),
    eventOf('/v1/results/uploads/none.jpg'),
    eventOf('/v1/results/uploads/none.jpg', { authorization: `Bearer ${key}` }),
    eventOf('/'),
    eventOf(`/web/${script}`, { 'accept-encoding': 'gzip, br' }),
  ]
  const bundle = bundleOf(api.stack, outdir)
  const { answers, size } = await runBundle<APIGatewayProxyStructuredResultV2>(bundle, { env, events })
  assert.deepEqual(
    answers.map(({ value, error }) => error ?? value?.statusCode),
    [200, 200, 200, 401, 404, 200, 200],
  )
  assert.equal(JSON.parse(answers[4]!.value!.body!).code, 'RESULT_NOT_FOUND')
  const [document, compressed] = answers.slice(5).map(({ value }) => value!)
  assert.ok(document!.body!.includes(`/web/${script}`) && !document!.body!.includes('/docs'))
  assert.equal(compressed!.headers!['content-encoding'], 'br')
  assert.equal(compressed!.isBase64Encoded, true)
  assert.deepEqual(brotliDecompressSync(Buffer.from(compressed!.body!, 'base64')), page.files.get(script!)!.body)
  assert.deepEqual([...secrets.operations], ['secretsmanager:GetSecretValue'])
  t.diagnostic(size)
})

function eventOf(rawPath: string, headers: Record<string, string> = {}) {
  const domainName = 'abcdefghij.execute-api.eu-west-1.amazonaws.com'
  const http = { method: 'GET', path: rawPath, protocol: 'HTTP/1.1', sourceIp: '192.0.2.1', userAgent: 'test' }
  return {
    version: '2.0',
    routeKey: 'ANY /{proxy+}',
    rawPath,
    rawQueryString: '',
    headers: { host: domainName, ...headers },
    requestContext: {
      accountId: '123456789012',
      apiId: 'abcdefghij',
      domainName,
      domainPrefix: 'abcdefghij',
      http,
      requestId: 'JKJaXmPLvHcESHA=',
      routeKey: 'ANY /{proxy+}',
      stage: '$default',
      time: '10/Mar/2026:05:16:23 +0000',
      timeEpoch: 1_583_817_383_220,
    },
    isBase64Encoded: false,
  }
}
