import assert from 'node:assert/strict'
import { test } from 'node:test'
import awsLambdaFastify from '@fastify/aws-lambda'
import { createApp } from '../../../services/api/app.ts'
import { asSent } from '../../../services/api/gateway-event.ts'
import { apiOptions } from '../../api-options.ts'
import { fakeResults, succeededJob } from '../../found-job.ts'
import { gatewayEvent } from '../../gateway-event.ts'

const functionUrl = 'abc123.lambda-url.eu-central-1.on.aws'

test('the path that an HTTP API has decoded is encoded again, once', () => {
  for (const [decoded, encoded] of [
    ['/v1/results/uploads/a+b c.jpg', '/v1/results/uploads/a%2Bb%20c.jpg'],
    ['/v1/results/uploads/100%.jpg', '/v1/results/uploads/100%25.jpg'],
    ['/v1/results/uploads/%2F.jpg', '/v1/results/uploads/%252F.jpg'],
    ['/v1/results/uploads/그림#.jpg', '/v1/results/uploads/%EA%B7%B8%EB%A6%BC%23.jpg'],
    ['/', '/'],
  ] as const) {
    assert.equal(asSent(gatewayEvent({ rawPath: decoded })).rawPath, encoded)
  }
})

test('a function URL leaves the path as it was sent', () => {
  const rawPath = '/v1/results/uploads/%EA%B7%B8%252F%3F.jpg'
  assert.equal(asSent(gatewayEvent({ rawPath, domainName: functionUrl })).rawPath, rawPath)
})

test('the query is the one that was sent: a comma is no second parameter', () => {
  const event = asSent(gatewayEvent({ rawPath: '/a', rawQueryString: 'version=a%2Cb&version=c,d' }))
  assert.equal(event.rawPath, '/a?version=a%2Cb&version=c,d')
  assert.equal(event.queryStringParameters, undefined)
})

test('a path is not resolved to the result of another key: it is answered as by the server', async (t) => {
  const results = fakeResults()
  for (const key of ['uploads/b.jpg', 'uploads/a/b.jpg', 'uploads/a\\b.jpg']) results.set(succeededJob(key))
  const app = await createApp(apiOptions({ results }))
  t.after(() => app.close())
  const answer = awsLambdaFastify(app, { decorateRequest: false, parseCommaSeparatedQueryParams: false })
  await app.ready()
  for (const [rawPath, status, key] of [
    ['a/../b.jpg', 400],
    ['a/../../uploads/b.jpg', 400],
    ['./b.jpg', 400],
    ['a/b.jpg/..', 400],
    ['a/%2E%2e/b.jpg', 400],
    ['a/.%2e/b.jpg', 400],
    ['%2e/b.jpg', 400],
    ['x\\..\\b.jpg', 404],
    ['a\\b.jpg', 200, 'uploads/a\\b.jpg'],
    ['a/b.jpg', 200, 'uploads/a/b.jpg'],
    ['...b.jpg', 404],
  ] as const) {
    for (const [path, domainName] of [
      [rawPath, functionUrl],
      [decodeURIComponent(rawPath), undefined],
    ] as const) {
      const event = gatewayEvent({ rawPath: `/v1/results/uploads/${path}`, ...(domainName && { domainName }) })
      const { statusCode, body } = (await answer(asSent(event), {} as never)) as { statusCode: number; body: string }
      assert.deepEqual([statusCode, JSON.parse(body).key], [status, key], `${path} ${domainName}`)
    }
  }
})
