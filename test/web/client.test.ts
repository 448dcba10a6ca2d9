import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { build } from 'esbuild'
import type { Page } from 'playwright-core'
import { createApp } from '../../services/api/app.ts'
import { bundlePage } from '../../services/api/bundle-page.ts'
import { createPage } from '../../services/api/page.ts'
import { apiOptions } from '../api-options.ts'
import { fakeResults, foundJob, succeededJob } from '../found-job.ts'
import { type Browser, openBrowser } from './browser.ts'

const key = 'uploads/a.jpg'
/** Far less than a browser keeps a request back that another of the same address may answer. */
const patienceMs = 5_000

let browser: Browser
let script: string

before(async () => {
  browser = await openBrowser()
  const { outputFiles } = await build({
    entryPoints: ['services/api/client/client.ts'],
    bundle: true,
    format: 'iife',
    globalName: 'Promenade',
    target: 'es2022',
    write: false,
  })
  script = `${outputFiles[0]!.text};globalThis.client = Promenade.createPromenadeClient({ baseUrl: location.origin })`
})

after(() => browser?.close())

test("a browser's cache changes no call of the client, and keeps none of the same key back", async () => {
  await withClient(async ({ page, results, received }) => {
    results.set(foundJob(key, { state: 'processing', etaSeconds: 60, updatedAt: new Date() }))
    const ask = `client.result('${key}').then(({ result }) => result.status)`
    for (let calls = 0; calls < 2; calls++) assert.equal(await page.evaluate(ask), 'processing')
    const waits = page.evaluate<string[]>(
      `Promise.all([1, 2, 3].map(() => client.wait('${key}').then(({ status }) => status)))`,
    )
    // They end with the page where the test fails.
    waits.catch(() => {})
    for (let passedMs = 0; received.length < 5 && passedMs < patienceMs; passedMs += 50) await sleep(50)
    assert.deepEqual(received, Array(5).fill(undefined), 'each has come at once, and without an If-None-Match')
    results.set(succeededJob(key, { updatedAt: new Date() }))
    assert.deepEqual(await waits, Array(3).fill('succeeded'))
  })
})

/** The client on a page of the API's own origin; `received` has the If-None-Match of each call. */
async function withClient(
  use: (given: {
    page: Page
    results: ReturnType<typeof fakeResults>
    received: (string | undefined)[]
  }) => Promise<void>,
): Promise<void> {
  const results = fakeResults()
  const app = await createApp(apiOptions({ results, page: createPage(await bundlePage()) }))
  const received: (string | undefined)[] = []
  app.server.on('request', ({ url, headers }) => {
    if (url!.startsWith('/v1/')) received.push(headers['if-none-match'])
  })
  try {
    const baseURL = await app.listen({ host: '127.0.0.1', port: 0 })
    await browser.visit({ baseURL }, async ({ page }) => {
      await page.goto('/')
      await page.evaluate(script)
      await use({ page, results, received })
    })
  } finally {
    await app.close()
  }
}
