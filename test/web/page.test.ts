import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { en } from '../../services/api/web/words/en.ts'
import { ko } from '../../services/api/web/words/ko.ts'
import { expectAccessible, expectNoSideways, phone } from './browser.ts'
import { openPromenade, type Promenade } from './promenade.ts'

const maxFirstLoadBytes = 200_000
const looks: [name: string, options: BrowserContextOptions, words: typeof en][] = [
  ['in English', { locale: 'en-GB' }, en],
  ['in Korean, dark, on a phone', { locale: 'ko-KR', colorScheme: 'dark', ...phone }, ko],
  ['in English for any other language, on a phone', { locale: 'de-DE', ...phone }, en],
  ['in Korean', { locale: 'ko' }, ko],
]

let promenade: Promenade

before(async () => {
  promenade = await openPromenade()
})

after(() => promenade.close())

for (const [name, options, words] of looks) {
  test(`every view opens ${name}`, async () => {
    await promenade.visit(options, async ({ page }) => {
      await page.goto('/')
      assert.equal(await page.locator('html').getAttribute('lang'), words === ko ? 'ko' : 'en')
      const navigation = page.getByRole('navigation', { name: words.shell.nav })
      for (const view of ['gallery', 'operations', 'upload'] as const) {
        const { title } = words[view]
        const link = navigation.getByRole('link', { name: words.shell.views[view], exact: true })
        await link.click()
        const heading = page.getByRole('heading', { level: 1, name: title })
        await heading.waitFor()
        assert.equal(await page.title(), `${title} · Promenade`)
        assert.equal(await link.getAttribute('aria-current'), 'page')
        assert.equal(await focused(page), title)
        await expectNoSideways(page)
        await expectAccessible(page)
      }
    })
  })
}

test('the keyboard alone leads past the header, and from view to view and back', async () => {
  await promenade.visit({}, async ({ page }) => {
    await page.goto('/')
    await page.keyboard.press('Tab')
    assert.equal(await focused(page), en.shell.skip)
    await page.keyboard.press('Enter')
    assert.equal(await page.evaluate('document.activeElement.id'), 'main')
    await page.keyboard.press('Shift+Tab')
    await page.keyboard.press('Shift+Tab')
    assert.equal(await focused(page), en.shell.views.gallery)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: en.gallery.title }).waitFor()
    await page.goBack()
    await page.getByRole('heading', { level: 1, name: en.upload.title }).waitFor()
  })
})

test(`the first load is of less than ${maxFirstLoadBytes / 1000} kB`, async (t) => {
  await promenade.visit({}, async ({ page, context }) => {
    const wire = await context.newCDPSession(page)
    let bytes = 0
    await wire.send('Network.enable')
    wire.on('Network.loadingFinished', ({ encodedDataLength }) => {
      bytes += encodedDataLength
    })
    await page.goto('/', { waitUntil: 'networkidle' })
    const usable = await page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive")
    assert.ok(bytes > 1_000 && bytes < maxFirstLoadBytes, `${bytes} bytes`)
    t.diagnostic(`the first load is of ${bytes} bytes; the document is interactive after ${usable} ms`)
  })
})

const focused = (page: Page) => page.evaluate('document.activeElement.textContent')
