import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asSent } from '../../../services/api/gateway-event.ts'
import { gatewayEvent } from '../../gateway-event.ts'

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
  const domainName = 'abc123.lambda-url.eu-central-1.on.aws'
  const rawPath = '/v1/results/uploads/%EA%B7%B8%252F%3F.jpg'
  assert.equal(asSent(gatewayEvent({ rawPath, domainName })).rawPath, rawPath)
})

test('the query is the one that was sent: a comma is no second parameter', () => {
  const event = asSent(gatewayEvent({ rawPath: '/a', rawQueryString: 'version=a%2Cb&version=c,d' }))
  assert.equal(event.rawPath, '/a?version=a%2Cb&version=c,d')
  assert.equal(event.queryStringParameters, undefined)
})
