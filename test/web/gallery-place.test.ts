import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Page } from 'playwright-core'
import type { Result } from '#shared/contract/result.ts'
import { galleryAddress } from '../../services/api/web/address.ts'
import { en } from '../../services/api/web/words/en.ts'
import { until } from '../until.ts'
import { openPromenade, type Promenade } from './promenade.ts'
import { resultKey } from './visitor.ts'

/** More than a page of the gallery. */
const pictures = 25
/** The exhibit that is opened, on the second page. */
const opened = 22
/** As the gallery asks; a result asks for its other takes. */
const listing = /\/v1\/results\?.*state=succeeded/
const small = { viewport: { width: 700, height: 500 } }

interface Place {
  scrollY: number
  /** What names the element that has the focus. */
  focused: string | null
}

let promenade: Promenade

before(async () => {
  promenade = await openPromenade()
  for (let index = 0; index < pictures; index++) await promenade.upload(`uploads/place/${index}.jpg`)
  await promenade.withConsumer({}, promenade.drained)
})

after(() => promenade?.close())

test('Back leads from a result to the gallery as it was left, and to the exhibit that was opened', async () => {
  await promenade.visit(small, async ({ page }) => {
    await page.goto('/#/gallery')
    await showAll(page)
    const left = await openOne(page)
    await page.goBack()
    await expectAsLeft(page, left)
    await page.goForward()
    await page.getByRole('heading', { name: en.result.music }).waitFor()
    // The API may answer with fewer than it was asked for.
    await page.route(listing, (route) =>
      route.continue({
        url: route
          .request()
          .url()
          .replace(/limit=\d+/, 'limit=6'),
      }),
    )
    await page.goBack()
    await expectAsLeft(page, left)
    await page.unrouteAll()
    await page.reload()
    await expectAsLeft(page, left)
  })
})

test('Back twice leads from another take to the gallery as it was left; its link leads to its beginning', async () => {
  await promenade.visit(small, async ({ page }) => {
    await page.goto('/#/gallery')
    await showAll(page)
    const left = await openOne(page)
    const take = { key: await resultKey(page), prompt: 'slower', duration_seconds: 1 }
    const { status } = await promenade.post('/v1/generations', take)
    assert.equal(status, 202)
    await page.reload()
    await page.getByRole('link', { name: en.result.take(1) }).click()
    await page.waitForURL(/take=1/)
    await page.goBack()
    await page.waitForURL(/take=0/)
    await page.goBack()
    await expectAsLeft(page, left)

    await page.goForward()
    await page.getByRole('heading', { name: en.result.music }).waitFor()
    await page.getByRole('link', { name: en.shell.views.gallery }).click()
    await page.getByText(en.gallery.shown('20')).waitFor()
    await expectPlace(page, { scrollY: 0, focused: en.gallery.title })
  })
})

test('a filtered gallery that was left without opening any is found as it was, too; without the filter it begins anew', async () => {
  const { genre } = (await promenade.get('uploads/place/0.jpg')).body
  await promenade.visit(small, async ({ page }) => {
    await page.goto('/')
    await page.goto(`/${galleryAddress({ genre })}`)
    await showAll(page)
    await exhibits(page).nth(opened).scrollIntoViewIfNeeded()
    await page.waitForFunction(() => scrollY > 500 && history.state.scrollY === scrollY)
    const { scrollY } = await placeOf(page)
    await page.goBack()
    await page.getByRole('heading', { level: 1, name: en.upload.title }).waitFor()
    await page.goForward()
    await expectPlace(page, { scrollY, focused: en.gallery.title })
    assert.equal(await exhibits(page).count(), pictures)
    await page.getByRole('button', { name: en.gallery.remove(genre!) }).click()
    await page.getByText(en.gallery.shown('20')).waitFor()
    await expectPlace(page, { scrollY: 0, focused: en.gallery.title })
  })
})

test('what has vanished meanwhile is not waited for, and what was opened is led to where it is now', async () => {
  await promenade.visit(small, async ({ page }) => {
    await page.goto('/#/gallery')
    await showAll(page)
    await openOne(page)
    await page.route(listing, async (route) => {
      const { results } = (await (await route.fetch()).json()) as { results: Result[] }
      await route.fulfill({ json: { results: [results[opened], ...results.slice(0, 12)] } })
    })
    await page.goBack()
    await page.getByText(en.gallery.end('13')).waitFor()
    await until(() => hasFocusInSight(page, 0))
    await page.goForward()
    await page.getByRole('heading', { name: en.result.music }).waitFor()
    await page.route(listing, (route) => route.fulfill({ json: { results: [] } }))
    await page.goBack()
    await page.getByText(en.gallery.empty).waitFor()
    await expectPlace(page, { scrollY: 0, focused: en.gallery.title })
  })
})

test('who comes back offline is told so, and led to where they were once they have tried again', async () => {
  await promenade.visit(small, async ({ page, context, expectTrouble }) => {
    await page.goto('/#/gallery')
    await showAll(page)
    const left = await openOne(page)
    expectTrouble(/ERR_INTERNET_DISCONNECTED/)
    await context.setOffline(true)
    await page.goBack()
    await page.getByRole('alert').getByText(en.errors.NETWORK_ERROR).waitFor()
    await context.setOffline(false)
    await page.getByRole('button', { name: en.shell.again }).click()
    await expectAsLeft(page, left)
  })
})

const exhibits = (page: Page) => page.getByRole('list', { name: en.gallery.list }).locator('> li')

async function showAll(page: Page): Promise<void> {
  await until(async () => {
    await exhibits(page).last().scrollIntoViewIfNeeded()
    return (await exhibits(page).count()) === pictures
  })
}

/** Shows the result of an exhibit. Where the gallery was left for it. */
async function openOne(page: Page): Promise<Place> {
  const exhibit = exhibits(page).nth(opened)
  const link = exhibit.getByRole('link', { name: en.gallery.details })
  await link.scrollIntoViewIfNeeded()
  const { scrollY } = await placeOf(page)
  assert.ok(scrollY > 500)
  const focused = await exhibit.getByRole('article').getAttribute('aria-label')
  await link.click()
  await page.getByRole('heading', { name: en.result.music }).waitFor()
  return { scrollY, focused }
}

function placeOf(page: Page): Promise<Place> {
  return page.evaluate(() => {
    const { ariaLabel, textContent } = document.activeElement!
    return { scrollY, focused: ariaLabel ?? textContent }
  })
}

async function expectAsLeft(page: Page, left: Place): Promise<void> {
  await expectPlace(page, left)
  assert.equal(await exhibits(page).count(), pictures)
  assert.ok(await hasFocusInSight(page, opened))
}

async function expectPlace(page: Page, expected: Place): Promise<void> {
  await page.waitForFunction((y) => scrollY === y, expected.scrollY)
  assert.deepEqual(await placeOf(page), expected)
}

function hasFocusInSight(page: Page, index: number): Promise<boolean> {
  return exhibits(page)
    .nth(index)
    .evaluate((exhibit) => {
      const { top, bottom } = exhibit.getBoundingClientRect()
      return exhibit.contains(document.activeElement) && top < innerHeight && bottom > 0
    })
}
