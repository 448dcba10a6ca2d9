import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Page } from 'playwright-core'
import { readApiKeys } from '../../services/api/api-key.ts'
import { en } from '../../services/api/web/words/en.ts'
import { expectAccessible } from './browser.ts'
import { openPromenade, type Promenade } from './promenade.ts'

const key = 'the-key-of-the-operators'
const unauthorized = /status of 401/
const { access, gallery } = en

let promenade: Promenade

before(async () => {
  promenade = await openPromenade({ auth: { keys: readApiKeys(`${key}:admin`) } })
})

after(() => promenade.close())

test('a key is asked for until one is known, and kept through a reload in the tab alone', async () => {
  await promenade.visit({}, async ({ page, context, expectTrouble }) => {
    expectTrouble(unauthorized)
    await page.goto('/#/gallery')
    await expectAccessible(page)
    assert.equal(await page.getByText(access.unknown).count(), 0)
    // No header could carry it.
    await give(page, '열쇠🔑')
    assert.equal(
      await field(page).evaluate((input: { matches(selector: string): boolean }) => input.matches(':invalid')),
      true,
    )
    await give(page, 'the-key-of-somebody')
    await page.getByText(access.unknown).waitFor()
    await expectAccessible(page)
    await give(page, ` ${key} `)
    await page.getByText(gallery.empty).waitFor()
    await page.reload()
    await page.getByText(gallery.empty).waitFor()
    assert.ok(!page.url().includes(key))

    const other = await context.newPage()
    await other.goto(page.url())
    await field(other).waitFor()
  })
})

test('where the browser keeps nothing for pages, a key is good for as long as the page', async () => {
  await promenade.visit({}, async ({ page, expectTrouble }) => {
    expectTrouble(unauthorized)
    await page.addInitScript(
      "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('', 'SecurityError') } })",
    )
    await page.goto('/#/gallery')
    await give(page, key)
    await page.getByText(gallery.empty).waitFor()
    await page.getByRole('link', { name: en.shell.views.operations }).click()
    await page.getByText(en.operations.consumers.empty).waitFor()
  })
})

const field = (page: Page) => page.getByLabel(access.key, { exact: true })

async function give(page: Page, text: string): Promise<void> {
  await field(page).fill(text)
  await page.getByRole('button', { name: access.enter }).click()
}
