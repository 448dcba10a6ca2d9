import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import { type ErrorCode, errorCodes } from '#shared/contract/error-code.ts'
import { jobStates } from '#shared/contract/result.ts'
import { createApp } from '../../../services/api/app.ts'
import { modelNames } from '../../../services/models/catalogue.ts'
import { apiOptions } from '../../api-options.ts'
import { type Described, faultsOf, type Media, operationsOf } from '../../open-api.ts'

let app: Awaited<ReturnType<typeof createApp>>
let document: Record<string, unknown>
let operations: Described[]

before(async () => {
  // Nothing is asked of what the API stands on.
  app = await createApp(apiOptions())
  document = (await app.inject('/openapi.json')).json()
  operations = operationsOf(document)
})

after(() => app?.close())

test('the document is OpenAPI 3.1 to an independent validator', async () => {
  const { valid, errors } = await new Validator().validate(document)
  assert.ok(valid, JSON.stringify(errors, undefined, 2))
  assert.equal(document.openapi, '3.1.0')
})

test('every operation has a name of its own, a known tag, a summary, and says whom it lets in', () => {
  const tags = (document.tags as { name: string }[]).map(({ name }) => name)
  assert.equal(new Set(operations.map(({ operationId }) => operationId)).size, operations.length)
  for (const { operationId, summary, tags: used, security, path } of operations) {
    assert.ok(operationId && summary && used.length === 1 && tags.includes(used[0]!), operationId)
    assert.equal(security.length, /^\/(v1\/|analyze|info)/.test(path) ? 1 : 0, operationId)
  }
})

test('every body has an example, and every example is as its schema says', () => {
  for (const { operationId, requestBody, responses } of operations) {
    if (requestBody) checkExamples(operationId, requestBody.content)
    for (const [status, { content = {}, description }] of Object.entries(responses)) {
      assert.notEqual(description, 'Default Response', `${operationId} ${status}`)
      checkExamples(`${operationId} ${status}`, content)
    }
  }
})

test('versions, models and providers of examples are such as there are', async () => {
  const { version } = (await app.inject('/info')).json()
  assert.equal((document.info as { version: string }).version, version)
  const said = JSON.stringify(document)
  for (const [, name] of said.matchAll(/"(?:name|model)":"((?:musicgen|clip|siglip)[^"]*)"/g)) {
    assert.ok(
      modelNames.some((each) => each === name),
      name,
    )
  }
  assert.deepEqual(
    new Set(Array.from(said.matchAll(/"version":"(\d[\d.]*)"/g), ([, each]) => each)),
    new Set([version]),
  )
  assert.match(said, /"execution_providers":\["cuda"\]/)
})

test('bodies are taken at their word: no text, true or null is made a number of, and no number a text', async () => {
  for (const { operationId, method, path, requestBody } of operations) {
    if (!requestBody) continue
    const media = requestBody.content['application/json']!
    const [[, { value: valid }]] = examplesOf(media) as [[string, { value: object }]]
    for (const [name, { type }] of Object.entries(media.schema.properties!)) {
      const values = [type === 'string' ? 5 : '5', true, null, []]
      for (const value of values.filter((each) => type !== (Array.isArray(each) ? 'array' : typeof each))) {
        const payload = { ...valid, [name]: value }
        const response = await app.inject({ method: method as 'POST', url: path, payload })
        const { code, detail } = response.json()
        assert.equal(code, 'INVALID_REQUEST', `${operationId} ${JSON.stringify(payload)}`)
        assert.match(detail, new RegExp(`^body/${name} must be `))
      }
    }
  }
})

test('every code is named with its status wherever it can be met, and each problem stands alone', () => {
  for (const { operationId, responses, security } of operations) {
    const always = [...(security.length ? ['401', '429'] : []), '500', '504']
    assert.deepEqual(
      always.filter((status) => !(status in responses)),
      [],
      operationId,
    )
    for (const [status, { content = {}, headers = {} }] of Object.entries(responses)) {
      assert.match(status, /^[2345]\d\d$/, operationId)
      assert.equal('ratelimit' in headers, security.length > 0 && !/^40[13]$/.test(status), `${operationId} ${status}`)
      if (Number(status) < 400) continue
      assert.deepEqual(Object.keys(content), ['application/problem+json'])
      for (const [code, { value }] of examplesOf(content['application/problem+json']!)) {
        assert.equal((value as { status: number }).status, Number(status))
        assert.ok(code in errorCodes)
      }
      if (status === '429' || status === '503') assert.ok('retry-after' in headers)
    }
  }
  const got = operations.find(({ operationId }) => operationId === 'getResult')!
  const codes = (status: number) =>
    examplesOf(got.responses[status]!.content!['application/problem+json']!).map(([code]) => code as ErrorCode)
  assert.deepEqual(codes(404), ['RESULT_NOT_FOUND'])
  assert.deepEqual(codes(401), ['UNAUTHORIZED'])
})

test('a result is shown in every state', () => {
  const { responses } = operations.find(({ operationId }) => operationId === 'getResult')!
  const shown = examplesOf(responses['200']!.content!['application/json']!)
  const states = shown.map(([, { value }]) => (value as { status: string }).status)
  assert.deepEqual(new Set(states), new Set(jobStates))
})

test('the pages at /docs are open, hold to their own origin and are there without any other', async () => {
  const page = await app.inject('/docs')
  assert.equal(page.statusCode, 200)
  const policy = String(page.headers['content-security-policy'])
  assert.match(policy, /^default-src 'none'; script-src 'self';/)
  const assets = Array.from(page.body.matchAll(/(?:src|href)="([^"]+)"/g), ([, address]) => address!)
  assert.ok(assets.length > 4)
  for (const address of [...assets, '/docs/json']) {
    assert.match(address, /^\/docs\//)
    const { statusCode, headers } = await app.inject(address)
    assert.deepEqual([statusCode, headers['content-security-policy']], [200, policy], address)
  }
  assert.equal((await app.inject('/docs/static/%2e%2e/package.json')).statusCode, 404)
})

function checkExamples(where: string, content: Record<string, Media>): void {
  for (const [type, media] of Object.entries(content)) {
    const examples = examplesOf(media)
    assert.ok(examples.length > 0, `${where} ${type} has an example`)
    for (const [name, { value }] of examples) {
      assert.deepEqual(faultsOf(media.schema, value), [], `${where} ${type} ${name}`)
    }
  }
}

function examplesOf({ example, examples, schema }: Media): [string, { value: unknown }][] {
  const unnamed = [...(example === undefined ? [] : [example]), ...(schema.examples ?? [])]
  return [
    ...Object.entries(examples ?? {}),
    ...unnamed.map((value): [string, { value: unknown }] => ['example', { value }]),
  ]
}
