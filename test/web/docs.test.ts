import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { readApiKeys } from '../../services/api/api-key.ts'
import { createApp } from '../../services/api/app.ts'
import { apiOptions } from '../api-options.ts'
import { resultsOf, succeededJob } from '../found-job.ts'
import { type Browser, openBrowser } from './browser.ts'

const apiKey = 'a-key-of-an-app-in-a-test'

let browser: Browser
let app: Awaited<ReturnType<typeof createApp>>
let baseURL: string

before(async () => {
  const results = resultsOf(async ({ key }) => succeededJob(key!))
  app = await createApp(apiOptions({ results, auth: { keys: readApiKeys(apiKey) } }))
  baseURL = await app.listen({ host: '127.0.0.1', port: 0 })
  browser = await openBrowser()
})

after(async () => {
  await browser.close()
  await app.close()
})

for (const address of ['/docs', '/docs/']) {
  test(`${address} shows every operation, and opens one`, async () => {
    const paths = Object.values(app.swagger().paths ?? {}).map((path) => Object.keys(path ?? {}).length)
    const operations = paths.reduce((sum, count) => sum + count)
    await browser.visit({ baseURL }, async ({ page }) => {
      await page.goto(address)
      await page.getByRole('heading', { name: 'Promenade', level: 1 }).waitFor()
      assert.equal(await page.title(), 'Promenade API')
      assert.equal(await page.locator('.opblock').count(), operations)
      await page.getByRole('button', { name: /^POST \/v1\/uploads/ }).click()
      await page.getByText('"filename": "harbour.jpg"').waitFor()
      assert.equal(await page.locator('.errors-wrapper').count(), 0)
      assert.equal(await page.getByRole('button', { name: 'Explore' }).count(), 0)
    })
  })
}

test('a call can be made from /docs, without a key and with one', async () => {
  await browser.visit({ baseURL }, async ({ page, expectTrouble }) => {
    await page.goto('/docs')
    await page.getByRole('button', { name: /^GET \/v1\/results\/\{key\}/ }).click()
    await page.getByRole('button', { name: 'Try it out' }).click()
    await page.getByPlaceholder('key', { exact: true }).fill('uploads/바다 1.jpg')
    const answered = page.locator('.live-responses-table')
    const execute = page.getByRole('button', { name: 'Execute' })
    expectTrouble(/status of 401/)
    await execute.click()
    await answered.getByText('expected Authorization: Bearer <API key>').waitFor()

    await page.getByRole('button', { name: 'Authorize', exact: true }).click()
    const dialog = page.locator('.dialog-ux')
    await dialog.getByRole('textbox').fill(apiKey)
    await dialog.getByRole('button', { name: 'Apply credentials' }).click()
    await dialog.getByRole('button', { name: 'Close' }).last().click()
    await execute.click()
    await answered.getByText('"status": "succeeded"').waitFor()
    await answered.getByText('"uploads/바다 1.jpg"').waitFor()
  })
})
