import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Locator, Page } from 'playwright-core'
import type { Result } from '#shared/contract/result.ts'
import { resultAddress } from '../../services/api/web/address.ts'
import { en } from '../../services/api/web/words/en.ts'
import { ko } from '../../services/api/web/words/ko.ts'
import { drawPicture } from '../picture.ts'
import { createStubInference } from '../stub-inference.ts'
import { until } from '../until.ts'
import { expectSuitable } from './browser.ts'
import { openPromenade, type Promenade } from './promenade.ts'

/** More than two pages of the gallery. */
const pictures = 45
const tiff = 'uploads/gallery/scan.tiff'

let promenade: Promenade
/** As the API lists them. */
let listed: Result[]

before(async () => {
  promenade = await openPromenade()
})

after(() => promenade?.close())

test('an empty gallery leads to where pictures are taken', async () => {
  await promenade.visit({}, async ({ page }) => {
    await page.goto('/#/gallery')
    await page.getByText(en.gallery.empty).waitFor()
    await expectSuitable(page)
    await page.getByRole('link', { name: en.gallery.first }).click()
    await page.getByRole('heading', { level: 1, name: en.upload.title }).waitFor()
  })
})

test('all results are shown, the newest first: some at once, more by the button and by scrolling', async () => {
  await fill()
  await promenade.visit({ viewport: { width: 700, height: 500 } }, async ({ page }) => {
    await page.goto('/#/gallery')
    const shown = exhibits(page)
    await page.getByText(en.gallery.shown('20')).waitFor()
    assert.equal(await shown.count(), 20)
    await page.getByRole('button', { name: en.gallery.more }).focus()
    await page.keyboard.press('Enter')
    // The next page may have come already when the button came in sight.
    const leads = [20, 40].map((index) => shown.nth(index).getByRole('link').first())
    await until(async () => (await leads[0]!.evaluate(isFocused)) || leads[1]!.evaluate(isFocused))
    await until(async () => {
      await shown.last().scrollIntoViewIfNeeded()
      return (await shown.count()) === pictures
    })
    await page.getByText(en.gallery.end(String(pictures))).waitFor()
    assert.deepEqual(
      await shown.evaluateAll((items) => items.map((item) => item.querySelector<HTMLAnchorElement>('.details')!.hash)),
      listed.map((result) => resultAddress(result)),
    )
    const [newest] = listed
    const first = shown.first()
    assert.equal(await first.getByRole('heading').textContent(), newest!.genre)
    assert.deepEqual(
      await first.getByRole('list', { name: en.gallery.styles }).getByRole('listitem').allTextContents(),
      newest!.styles!.map(({ name }) => name),
    )
  })
})

test('a genre and a style narrow the gallery down, by their links and by the form, until they are removed', async () => {
  const [{ genre }] = listed as [Result]
  const other = listed.find((each) => each.genre !== genre)!
  const style = other.styles![0]!.name
  await promenade.visit({ locale: 'ko-KR' }, async ({ page }) => {
    await page.goto('/#/gallery')
    await exhibits(page).first().getByRole('heading').getByRole('link').click()
    const ofGenre = listed.filter((each) => each.genre === genre)
    await expectCount(page, ofGenre.length)
    await page.getByRole('button', { name: ko.gallery.remove(genre!) }).click()
    const field = (name: string) => page.getByRole('combobox', { name })
    await field(ko.gallery.genre).fill(other.genre!)
    await field(ko.gallery.style).fill(style)
    await page.getByRole('button', { name: ko.gallery.filter, exact: true }).click()
    const both = listed.filter((each) => each.genre === other.genre && hasStyle(each, style))
    await expectCount(page, both.length)
    await expectSuitable(page)
    await field(ko.gallery.genre).fill('no such genre')
    await page.keyboard.press('Enter')
    await page.getByText(ko.gallery.noMatch).waitFor()
    await expectSuitable(page)
    await page.getByRole('link', { name: ko.gallery.removeAll }).click()
    await exhibits(page).nth(19).waitFor()
  })
})

test('one music at a time is played, and a result is led to', async () => {
  await promenade.visit({}, async ({ page }) => {
    await page.goto('/#/gallery')
    const [one, other] = [0, 1].map((index) => exhibits(page).nth(index).locator('audio')) as [Locator, Locator]
    for (const audio of [one, other]) {
      await audio.focus()
      await page.keyboard.press('Space')
      await page.waitForFunction((element) => !(element as HTMLAudioElement).paused, await audio.elementHandle())
    }
    await page.waitForFunction((element) => (element as HTMLAudioElement).paused, await one.elementHandle())
    assert.equal(await one.evaluate((audio: HTMLAudioElement) => audio.ended), false)
    await expectSuitable(page)
    await exhibits(page).first().getByRole('link', { name: en.gallery.details }).click()
    await page.getByRole('heading', { name: en.result.music }).waitFor()
    assert.equal(new URL(page.url()).hash, resultAddress(listed[0]!))
  })
})

test('a picture of a kind that browsers do not show is told so, in the gallery and in its result', async () => {
  await promenade.visit({}, async ({ page }) => {
    await page.goto('/#/gallery')
    const exhibit = exhibits(page).filter({ has: page.locator(`a[href*="${encodeURIComponent('scan.tiff')}"]`) })
    await exhibit.getByText(en.gallery.noPicture).waitFor()
    await exhibit.getByRole('link', { name: en.gallery.details }).click()
    await page.getByText(en.result.noPicture).waitFor()
    await page.getByRole('heading', { name: en.result.music }).waitFor()
    await expectSuitable(page)
  })
})

/** Pictures of three genres, whose first styles are those of the genre; the newest of them a TIFF. */
async function fill(): Promise<void> {
  const stub = createStubInference()
  const { genres, styles } = stub.classifierManifest.classifier
  let classified = 0
  const inference = {
    async classify() {
      const index = classified++ % 3
      return {
        genre: { name: genres[index]!, score: 0.5 },
        styles: styles.slice(index, index + 5).map((name, place) => ({ name, score: 0.3 - 0.05 * place })),
        embedding: new Float32Array(4),
      }
    },
  }
  // Music long enough to be still playing when the next one begins.
  const process = () => promenade.withConsumer({ inference, settings: { MUSIC_SECONDS: '8' } }, promenade.drained)
  for (let index = 1; index < pictures; index++) await promenade.upload(`uploads/gallery/${index}.jpg`)
  await process()
  await promenade.upload(tiff, await drawPicture(5).tiff().toBuffer())
  await process()
  listed = []
  for (let cursor = ''; ; ) {
    const response = await fetch(`${promenade.address}/v1/results?limit=100&state=succeeded${cursor}`)
    const { results, next_cursor: next } = (await response.json()) as { results: Result[]; next_cursor?: string }
    listed.push(...results)
    if (!next) break
    cursor = `&cursor=${encodeURIComponent(next)}`
  }
  assert.equal(listed.length, pictures)
}

const exhibits = (page: Page) => page.getByRole('list', { name: /Earlier results|지금까지의 결과/ }).locator('> li')
const hasStyle = ({ styles }: Result, style: string) => styles!.some(({ name }) => name === style)
const isFocused = (element: Element) => element === document.activeElement

async function expectCount(page: Page, count: number): Promise<void> {
  await page.getByText(ko.gallery.end(String(count))).waitFor()
  assert.equal(await exhibits(page).count(), count)
}
