import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import type { Page } from 'playwright-core'
import type { Result } from '#shared/contract/result.ts'
import { en } from '../../services/api/web/words/en.ts'
import { ko } from '../../services/api/web/words/ko.ts'
import { type Inference, startInference } from '../../services/consumer/onnx/inference.ts'
import { drawPicture } from '../picture.ts'
import { buildTinyModels, tinyInference } from '../tiny-models.ts'
import { expectSuitable, phone } from './browser.ts'
import { openPromenade, type Promenade } from './promenade.ts'
import { choosePicture, objectOf, resultKey, tabTo } from './visitor.ts'

/** What MUSIC_SECONDS is by default. */
const musicSeconds = 10

let promenade: Promenade
let modelDir: string
let inference: Inference

before(async () => {
  modelDir = await buildTinyModels()
  inference = await startInference({ ...tinyInference, modelDir })
  promenade = await openPromenade()
})

after(async () => {
  await promenade?.close()
  await inference?.close()
  if (modelDir) await rm(modelDir, { recursive: true })
})

test('the music of a picture is ten seconds that play, and that are downloaded as they are in the bucket', async () => {
  await withModels(() =>
    promenade.visit({ locale: 'ko-KR', colorScheme: 'dark', ...phone }, async ({ page }) => {
      await page.goto('/')
      await choosePicture(page, ko, await picture('저녁 바다.jpg'), ko.upload.photograph)
      await page.getByRole('heading', { name: ko.result.music }).waitFor()
      const { body: result } = await promenade.get(await resultKey(page))
      assert.deepEqual([result.music!.duration_seconds, await heard(page)], [musicSeconds, musicSeconds])
      await page.getByRole('slider', { name: ko.result.position }).locator('canvas').first().waitFor()

      await page.getByRole('button', { name: ko.result.play }).click()
      await playsOn(page)
      await page.getByRole('button', { name: ko.result.pause }).click()
      await page.getByRole('button', { name: ko.result.play }).waitFor()

      const downloading = page.waitForEvent('download')
      await page.getByRole('link', { name: ko.result.download }).click()
      const download = await downloading
      assert.equal(download.suggestedFilename(), '저녁-바다-take1.wav')
      assert.ok((await buffer(await download.createReadStream())).equals(await storedMusic(result)))
      await expectDetails(page, result)
      await expectSuitable(page)
    }),
  )
})

test('the keyboard alone leads from the start of the page to the sound of another take', async () => {
  await withModels(() =>
    promenade.visit({ permissions: ['clipboard-read', 'clipboard-write'] }, async ({ page }) => {
      const { keyboard } = page
      await page.goto('/')
      await tabTo(page, page.getByRole('button', { name: en.upload.choose }))
      const choosing = page.waitForEvent('filechooser')
      await keyboard.press('Enter')
      await (await choosing).setFiles(await picture('still life.jpg'))

      await tabTo(page, page.getByRole('button', { name: en.result.play }))
      await keyboard.press('Enter')
      await playsOn(page)
      await expectQuiet(page)
      await tabTo(page, page.getByRole('slider', { name: en.result.position }))
      await keyboard.press('Space')
      await expectSeeking(page)
      await expectOthersKeys(page)
      await tabTo(page, page.getByRole('button', { name: en.result.copyLink }))
      await keyboard.press('Enter')
      await page.getByText(en.result.copied).waitFor()
      const copied = new URL(await page.evaluate(() => navigator.clipboard.readText()))

      await tabTo(page, page.getByRole('textbox', { name: en.result.prompt }))
      await keyboard.press('ControlOrMeta+A')
      await keyboard.type('A slow waltz for two cellos')
      await tabTo(page, page.getByLabel(en.result.durationSeconds))
      await keyboard.press('ControlOrMeta+A')
      await keyboard.type('2')
      await tabTo(page, page.getByLabel(en.result.seed))
      await keyboard.type('7')
      await tabTo(page, page.getByRole('button', { name: en.result.order }))
      await keyboard.press('Enter')

      await page.getByRole('heading', { level: 1, name: en.result.titleOfTake('still life', 1) }).waitFor()
      await tabTo(page, page.getByRole('button', { name: en.result.play }))
      assert.equal(await heard(page), 2)
      await keyboard.press('Space')
      await playsOn(page)
      await page.getByRole('blockquote').getByText('A slow waltz for two cellos').waitFor()
      assert.equal(await fact(page, en.result.seed), '7')

      await tabTo(page, page.getByRole('link', { name: en.result.take(0) }))
      await keyboard.press('Enter')
      await page.getByRole('heading', { level: 1, name: 'still life', exact: true }).waitFor()
      assert.equal(new URL(page.url()).hash, copied.hash)
      assert.equal(await heard(page), musicSeconds)
    }),
  )
})

const withModels = (use: () => Promise<void>) =>
  promenade.withConsumer({ inference, settings: { MUSIC_SECONDS: String(musicSeconds) } }, use)

const picture = async (name: string) => ({
  name,
  mimeType: 'image/jpeg',
  buffer: await drawPicture(7, { width: 640, height: 480 }).jpeg().toBuffer(),
})

/** Seconds that the browser has found in the music, once it has. */
async function heard(page: Page): Promise<number> {
  const found = await page.waitForFunction(() => document.querySelector('audio')?.duration)
  return Number(await found.jsonValue())
}

async function playsOn(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const audio = document.querySelector('audio')
    return audio && !audio.paused && audio.currentTime > 0.2
  })
}

/** By the keys of a slider, which has the focus. */
async function expectSeeking(page: Page): Promise<void> {
  for (const [key, seconds] of [
    ['Home', 0],
    ['ArrowRight', 1],
    ['PageUp', 6],
    ['ArrowLeft', 5],
    ['End', musicSeconds],
  ] as const) {
    await page.keyboard.press(key)
    const slider = page.getByRole('slider', { name: en.result.position })
    assert.equal(Number(await slider.getAttribute('aria-valuenow')), seconds, key)
    const time = (seconds: number) => `0:${String(seconds).padStart(2, '0')}`
    const text = en.result.positionOf(time(seconds), time(musicSeconds))
    assert.equal(await slider.getAttribute('aria-valuetext'), text)
    assert.equal(await page.locator('audio').evaluate((audio: HTMLAudioElement) => audio.currentTime), seconds)
  }
}

/** While it plays the slider changes nothing that a screen reader would say, unless it gets the focus. */
async function expectQuiet(page: Page): Promise<void> {
  const slider = page.getByRole('slider', { name: en.result.position })
  const time = page.locator('.controls .time')
  const shown = await time.textContent()
  const changes = await slider.evaluate(async (element) => {
    const seen: (string | null)[] = []
    const observer = new MutationObserver((records) => seen.push(...records.map(({ attributeName }) => attributeName)))
    observer.observe(element, { attributes: true })
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    observer.disconnect()
    return seen
  })
  assert.deepEqual(changes, [])
  assert.notEqual(await time.textContent(), shown)
  const before = Number(await slider.getAttribute('aria-valuenow'))
  await slider.focus()
  assert.ok(Number(await slider.getAttribute('aria-valuenow')) > before)
  await page.getByRole('button', { name: en.result.pause }).focus()
}

/** Keys that mean something to the browser or the system are left to them. */
async function expectOthersKeys(page: Page): Promise<void> {
  const slider = page.getByRole('slider', { name: en.result.position })
  const taken = await slider.evaluate((element) =>
    (['altKey', 'ctrlKey', 'metaKey', 'shiftKey'] as const).filter((modifier) => {
      const event = new KeyboardEvent('keydown', { key: 'ArrowLeft', cancelable: true, [modifier]: true })
      return !element.dispatchEvent(event)
    }),
  )
  assert.deepEqual(taken, ['shiftKey'])
}

const storedMusic = ({ music_url: url }: Result) =>
  objectOf(promenade, decodeURIComponent(new URL(url!).pathname).slice(1))

async function fact(page: Page, name: string): Promise<string | null> {
  return page.locator('dt', { hasText: name }).locator('+ dd').textContent()
}

async function expectDetails(page: Page, { music, timings, version }: Result): Promise<void> {
  assert.equal(await fact(page, ko.result.seed), String(music!.seed))
  assert.equal(await fact(page, ko.result.model), music!.model)
  assert.equal(await fact(page, ko.result.version), version)
  const bars = page.getByRole('region', { name: ko.result.details }).getByRole('listitem')
  const shown = await bars.evaluateAll((items) =>
    items.map((item) => [item.querySelector('span')!.textContent, Number(item.querySelector('data')!.value)]),
  )
  const names: Record<string, string> = ko.result.timing
  assert.deepEqual(
    shown,
    Object.entries(timings!).map(([name, milliseconds]) => [names[name], milliseconds]),
  )
}
