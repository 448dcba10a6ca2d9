import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { type ErrorCode, errorCodes } from '#shared/contract/error-code.ts'
import type { Problem } from '#shared/contract/result.ts'
import { resultAddress } from '../../services/api/web/address.ts'
import { en } from '../../services/api/web/words/en.ts'
import { ko } from '../../services/api/web/words/ko.ts'
import { expectAccessible, expectNoSideways, expectSuitable, phone } from './browser.ts'
import { openPromenade, type Promenade } from './promenade.ts'

const codes = Object.entries(errorCodes) as [ErrorCode, (typeof errorCodes)[ErrorCode]][]
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

for (const [words, locale] of [
  [en, 'en-GB'],
  [ko, 'ko-KR'],
] as const) {
  test(`each code that a job can fail with is told in words, in ${locale}`, async () => {
    await promenade.visit({ locale }, async ({ page }) => {
      await page.goto('/')
      for (const [code, { status, title: message }] of codes) {
        await show(page, `uploads/failed-${code}.jpg`, { error: { code, message, retryable: passes(status) } })
        const failure = page.getByRole('region', { name: words.result.failed })
        await failure.getByText(words.errors[code]).waitFor()
        await failure.getByText(code, { exact: true }).waitFor()
      }
      await expectSuitable(page)
    })
  })
}

test('each code that the API can answer with is told in words, or waited for', async () => {
  await promenade.visit({}, async ({ page, expectTrouble }) => {
    expectTrouble(/the server responded with a status of/)
    await page.goto('/')
    for (const [code, { status, title }] of codes) {
      const problem = { type: 'about:blank', title, status, code }
      await show(page, `uploads/answered-${code}.jpg`, { problem })
      const { away, lost } = en.result
      const waiting = page.getByRole('status').getByText(code === 'TIMEOUT' ? lost : away(code))
      if (code === 'UNAUTHORIZED') await page.getByRole('button', { name: en.access.close }).click()
      await (passes(status) ? waiting : page.getByRole('alert').getByText(en.errors[code])).waitFor()
    }
  })
})

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

/** The view of a result for which the API answers so. */
async function show(page: Page, key: string, { error, problem }: { error?: object; problem?: Problem }): Promise<void> {
  const failed = `id: 1\ndata: ${JSON.stringify({ key, status: 'failed', error })}\n\n`
  await page.route(`**/v1/results/${key}?*`, (route) =>
    problem
      ? route.fulfill({ status: problem.status, contentType: 'application/problem+json', json: problem })
      : route.fulfill({ contentType: 'text/event-stream', body: failed }),
  )
  await page.goto(`/${resultAddress({ key })}`)
}

/** Asked again, the same may be answered otherwise. */
function passes(status: number): boolean {
  return status === 429 || status >= 500
}
