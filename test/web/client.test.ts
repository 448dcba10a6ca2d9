import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { build } from 'esbuild'
import { fakeResults, foundJob, succeededJob } from '../found-job.ts'
import { openFakePromenade } from './fake-promenade.ts'

const key = 'uploads/a.jpg'
/** Far less than a browser keeps a request back that another of the same address may answer. */
const patienceMs = 5_000

let promenade: Awaited<ReturnType<typeof openFakePromenade>>
let script: string

before(async () => {
  promenade = await openFakePromenade()
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

after(() => promenade?.close())

test("a browser's cache changes no call of the client, and keeps none of the same key back", async () => {
  const results = fakeResults()
  results.set(foundJob(key, { state: 'processing', etaSeconds: 60, updatedAt: new Date() }))
  await promenade.visit({ results }, async ({ page, app }) => {
    const conditions: (string | undefined)[] = []
    app.server.on('request', ({ url, headers }) => {
      if (url!.startsWith('/v1/')) conditions.push(headers['if-none-match'])
    })
    await page.goto('/')
    await page.evaluate(script)
    const ask = `client.result('${key}').then(({ result }) => result.status)`
    for (let calls = 0; calls < 2; calls++) assert.equal(await page.evaluate(ask), 'processing')
    const waits = page.evaluate<string[]>(
      `Promise.all([1, 2, 3].map(() => client.wait('${key}').then(({ status }) => status)))`,
    )
    // They end with the page where the test fails.
    waits.catch(() => {})
    for (let passedMs = 0; conditions.length < 5 && passedMs < patienceMs; passedMs += 50) await sleep(50)
    assert.deepEqual(conditions, Array(5).fill(undefined), 'each has come at once, and without an If-None-Match')
    results.set(succeededJob(key, { updatedAt: new Date() }))
    assert.deepEqual(await waits, Array(3).fill('succeeded'))
  })
})
