import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { readApiKeys } from '../../../../services/api/api-key.ts'
import { createApp } from '../../../../services/api/app.ts'
import { bundlePage } from '../../../../services/api/bundle-page.ts'
import { createPage, type Page } from '../../../../services/api/page.ts'
import { apiOptions } from '../../../api-options.ts'

let page: Page
let app: Awaited<ReturnType<typeof createApp>>

before(async () => {
  page = createPage(await bundlePage())
  app = await createApp(apiOptions({ page, bucket: 'pictures', auth: { keys: readApiKeys('a-key-for-the-tests') } }))
})

after(() => app.close())

test('the page is open to everyone, and names files that are there', async () => {
  const { statusCode, headers, body } = await app.inject('/')
  assert.equal(statusCode, 200)
  assert.equal(headers['content-type'], 'text/html; charset=utf-8')
  assert.equal(headers['cache-control'], 'no-store')
  const names = Array.from(body.matchAll(/(?:src|href)="(\/web\/[^"]+)"/g), ([, name]) => name!)
  assert.equal(names.length, 3)
  for (const name of names) {
    const file = await app.inject(name)
    assert.equal(file.statusCode, 200, name)
    assert.match(String(file.headers['cache-control']), /immutable/)
    assert.equal(file.headers['x-content-type-options'], 'nosniff')
  }
})

test('scripts and styles are its own, pictures and music of the bucket', async () => {
  const policies = await Promise.all(['/', '/'].map(async (url) => policyOf(await app.inject(url))))
  const [policy] = policies
  assert.deepEqual(policy!.get('default-src'), ["'none'"])
  assert.deepEqual(policy!.get('script-src'), ["'self'"])
  for (const name of ['img-src', 'media-src', 'connect-src']) {
    assert.ok(policy!.get(name)!.includes('https://pictures.s3.us-east-1.amazonaws.com'), name)
  }
  assert.ok(![...policy!.values()].flat().some((source) => source.startsWith("'unsafe-")))
  const nonces = policies.map((each) => each.get('style-src')![1])
  assert.notEqual(nonces[0], nonces[1])
  const { body, headers } = await app.inject('/')
  const [, nonce] = body.match(/name="style-nonce" nonce="([^"]+)"/)!
  assert.ok(String(headers['content-security-policy']).includes(`'nonce-${nonce}'`))
})

test('the policy names the store as addresses are signed for it, whatever its name', async () => {
  const dotted = await createApp(apiOptions({ page, bucket: 'pictures.example.com' }))
  const policy = policyOf(await dotted.inject('/'))
  assert.deepEqual(policy.get('connect-src'), ["'self'", 'https://s3.us-east-1.amazonaws.com'])
  await dotted.close()
})

test('files are compressed for those who take it', async () => {
  const [name, { body }] = [...page.files].find(([each]) => each.endsWith('.js'))!
  const ask = (accepted: string) => app.inject({ url: `/web/${name}`, headers: { 'accept-encoding': accepted } })
  const plain = await ask('identity')
  assert.equal(plain.headers['content-encoding'], undefined)
  assert.equal(plain.headers.vary, 'accept-encoding')
  assert.deepEqual(plain.rawPayload, body)
  const br = await ask('gzip, deflate, br, zstd')
  assert.equal(br.headers['content-encoding'], 'br')
  assert.deepEqual(brotliDecompressSync(br.rawPayload), body)
  const gzip = await ask('gzip')
  assert.equal(gzip.headers['content-encoding'], 'gzip')
  assert.deepEqual(gunzipSync(gzip.rawPayload), body)
})

test('a file of another version of the page is not there', async () => {
  for (const name of ['main-000000000000.js', 'main.js', '..%2f..%2fpackage.json', 'constructor']) {
    const answer = await app.inject(`/web/${name}`)
    assert.equal(answer.statusCode, 404, name)
    assert.equal(answer.json().code, 'RESULT_NOT_FOUND')
  }
})

test('an API without a page has none', async () => {
  const bare = await createApp(apiOptions())
  assert.equal((await bare.inject('/')).statusCode, 404)
  await bare.close()
})

function policyOf({ headers }: { headers: Record<string, unknown> }): Map<string, string[]> {
  const directives = String(headers['content-security-policy']).split('; ')
  return new Map(directives.map((each) => [each.split(' ')[0]!, each.split(' ').slice(1)]))
}
