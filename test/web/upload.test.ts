import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import type { Page } from 'playwright-core'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { resultAddress } from '../../services/api/web/address.ts'
import { en } from '../../services/api/web/words/en.ts'
import { ko } from '../../services/api/web/words/ko.ts'
import { badPictures } from '../picture.ts'
import { expectSuitable } from './browser.ts'
import { openPromenade, type Promenade } from './promenade.ts'
import { startStepper } from './stepper.ts'
import { choosePicture, jpeg, objectOf, type PictureFile, percent, resultKey } from './visitor.ts'

const maxImageBytes = 300_000
const languages = [
  ['en-GB', en],
  ['ko-KR', ko],
] as const

let promenade: Promenade
let stepper: Awaited<ReturnType<typeof startStepper>>

before(async () => {
  promenade = await openPromenade({ maxImageBytes })
  stepper = await startStepper(promenade.stack.env.AWS_ENDPOINT_URL!)
})

after(async () => {
  await stepper?.close()
  await promenade?.close()
})

test('a picture that is chosen is followed through its stages, in their order, to what is found in it', async () => {
  stepper.hold('fetching', 'classifying', 'composing', 'storing')
  await promenade.visit({}, async ({ page }) => {
    await page.goto('/')
    await expectSuitable(page)
    await noteStages(page)
    await choosePicture(page, en, await jpeg('Evening by the sea.jpg'))
    const key = await resultKey(page)
    assert.match(key, /Evening-by-the-sea\.jpg$/)
    await page.getByRole('heading', { level: 1, name: 'Evening by the sea' }).waitFor()
    await atStage(page, 'queued')
    await promenade.withConsumer(stepper, async () => {
      for (const stage of ['fetching', 'classifying', 'composing', 'storing'] as const) {
        await atStage(page, stage)
        if (stage === 'composing') await expectComposing(page, key)
        stepper.release(stage)
      }
      await page.getByRole('heading', { name: en.result.music }).waitFor()
    })
    const { queued, ...others } = en.result.stages
    assert.deepEqual(await page.evaluate('stagesSeen'), [queued, ...Object.values(others)])
    await expectLabel(page, key)
    await expectSuitable(page)
  })
})

test('the progress bar moves while the picture is sent; what is canceled can be uploaded again', async () => {
  await promenade.visit({}, async ({ page, context }) => {
    const wire = await context.newCDPSession(page)
    const slowDown = (uploadThroughput: number) =>
      wire.send('Network.emulateNetworkConditions', {
        offline: false,
        latency: 0,
        downloadThroughput: -1,
        uploadThroughput,
      })
    await page.goto('/')
    await slowDown(15_000)
    const file = await jpeg('large.jpg')
    const buffer = Buffer.concat([file.buffer, Buffer.alloc(maxImageBytes - file.buffer.length)])
    await choosePicture(page, en, { ...file, buffer })
    const bar = page.getByRole('progressbar', { name: en.upload.uploading })
    await bar.waitFor()
    for (let [last, moves] = [0, 0]; moves < 3; moves++) {
      const moved = await page.waitForFunction((last) => {
        const { value } = document.querySelector('progress')!
        return value > last && value
      }, last)
      last = Number(await moved.jsonValue())
      assert.ok(last < 1, 'not all of it is sent')
    }
    await expectSuitable(page)
    await page.getByRole('button', { name: en.upload.cancel }).click()
    await page.getByRole('paragraph').filter({ hasText: en.upload.canceled, visible: true }).first().waitFor()
    assert.equal(await bar.count(), 0)
    await slowDown(-1)
    await page.getByRole('button', { name: en.upload.upload, exact: true }).click()
    assert.ok(buffer.equals(await objectOf(promenade, await resultKey(page))))
  })
  await promenade.withConsumer({}, promenade.drained)
})

test('an upload that fails is tried again when its user wants so', async () => {
  await promenade.visit({}, async ({ page, context, expectTrouble }) => {
    await page.goto('/')
    expectTrouble(/ERR_INTERNET_DISCONNECTED|status of 403/)
    await context.setOffline(true)
    const file = await jpeg('again.jpg')
    await choosePicture(page, en, file)
    await page.getByRole('alert').getByText(en.errors.NETWORK_ERROR).waitFor()
    await context.setOffline(false)
    // As the bucket says when the form is too old.
    await page.route(`**/${promenade.bucket}`, (route) =>
      route.fulfill({
        status: 403,
        headers: { 'access-control-allow-origin': '*' },
        contentType: 'application/xml',
        body: '<Error><Code>AccessDenied</Code><Message>Invalid according to Policy: Policy expired.</Message></Error>',
      }),
    )
    await page.getByRole('button', { name: en.shell.again }).click()
    const refused = page.getByRole('alert').filter({ hasText: en.errors.UPLOAD_REFUSED })
    await refused.getByText('The bucket answered 403 AccessDenied').waitFor()
    await page.unrouteAll()
    await refused.getByRole('button', { name: en.shell.again }).click()
    assert.ok(file.buffer.equals(await objectOf(promenade, await resultKey(page))))
  })
  await promenade.withConsumer({}, promenade.drained)
})

for (const [locale, words] of languages) {
  test(`what need not be uploaded to be refused is told so in ${locale}`, async () => {
    await promenade.visit({ locale }, async ({ page, expectTrouble }) => {
      expectTrouble(/status of 413/)
      await page.goto('/')
      const refused: [code: ErrorCode, file: PictureFile][] = [
        ['IMAGE_EMPTY', { name: 'empty.jpg', mimeType: 'image/jpeg', buffer: Buffer.alloc(0) }],
        ['IMAGE_UNSUPPORTED_TYPE', { name: 'text.txt', mimeType: 'text/plain', buffer: Buffer.from('text') }],
        ['IMAGE_TOO_LARGE', { ...(await jpeg('large.jpg')), buffer: Buffer.alloc(maxImageBytes + 1) }],
      ]
      for (const [code, file] of refused) {
        const isFirst = code === refused[0]![0]
        await choosePicture(page, words, file, words.upload[isFirst ? 'choose' : 'another'])
        const alert = page.getByRole('alert').filter({ hasText: code })
        await alert.getByText(words.errors[code]).waitFor()
      }
      await expectSuitable(page)
    })
  })
}

test('what cannot be made music of is told so, each in its words, in both languages', async () => {
  const { s3 } = promenade.stack
  const keys: Partial<Record<ErrorCode, string>> = {}
  for (const { code, make } of Object.values(badPictures)) {
    if (keys[code]) continue
    keys[code] = `uploads/${code}.jpg`
    await promenade.upload(keys[code], await make())
  }
  keys.IMAGE_NOT_FOUND = 'uploads/gone.jpg'
  await promenade.upload(keys.IMAGE_NOT_FOUND)
  await s3.send(new DeleteObjectCommand({ Bucket: promenade.bucket, Key: keys.IMAGE_NOT_FOUND }))
  await promenade.withConsumer({}, promenade.drained)
  keys.GENERATION_FAILED = 'uploads/composed.jpg'
  await promenade.upload(keys.GENERATION_FAILED)
  const compose = () => Promise.reject(new Error('no such operator'))
  await promenade.withConsumer({ inference: { compose }, settings: { MAX_ATTEMPTS: '1' } }, promenade.drained)

  for (const [locale, words] of languages) {
    await promenade.visit({ locale }, async ({ page, expectTrouble }) => {
      expectTrouble(/gone\.jpg/)
      for (const [code, key] of Object.entries(keys) as [ErrorCode, string][]) {
        await page.goto(`/${resultAddress({ key })}`)
        const told = page.getByRole('region', { name: words.result.failed })
        await told.getByText(words.errors[code]).waitFor()
        await told.getByText(code).waitFor()
        const isRetryable = code === 'GENERATION_FAILED'
        await told.getByRole('link', { name: words.result[isRetryable ? 'uploadAgain' : 'chooseAnother'] }).waitFor()
      }
      await expectSuitable(page)
    })
  }
})

function atStage(page: Page, stage: keyof typeof en.result.stages): Promise<void> {
  return page.locator('[aria-current=step]', { hasText: en.result.stages[stage] }).waitFor()
}

/** From now on, in `stagesSeen`. */
async function noteStages(page: Page): Promise<void> {
  await page.evaluate(() => {
    const seen: string[] = []
    Object.assign(window, { stagesSeen: seen })
    new MutationObserver(() => {
      const stage = document.querySelector('[aria-current=step] > span')?.textContent
      if (stage && seen.at(-1) !== stage) seen.push(stage)
    }).observe(document.body, { subtree: true, childList: true })
  })
}

/** How far it is, and how long it will take yet. */
async function expectComposing(page: Page, key: string): Promise<void> {
  await page.getByText(/^4\d%, about \d+(\.\d)? \w+ left$/).waitFor()
  const { progress } = (await promenade.get(key)).body
  const bar = page.getByRole('progressbar', { name: en.result.progress })
  assert.equal(await bar.evaluate((element: HTMLProgressElement) => element.value), progress)
  await expectSuitable(page)
}

/** Genre and styles are the API's, in names, figures and bars. */
async function expectLabel(page: Page, key: string): Promise<void> {
  const { genre, genre_score: genreScore, styles } = (await promenade.get(key)).body
  const label = page.getByRole('region', { name: en.result.genre })
  assert.equal(await label.getByRole('heading', { level: 2 }).textContent(), `${genre} ${percent(genreScore!, 1)}`)
  const shown = await label.getByRole('listitem').evaluateAll((items) =>
    items.map((item) => ({
      name: item.querySelector('span')!.textContent,
      score: Number(item.querySelector('data')!.value),
      text: item.querySelector('data')!.textContent,
      bar: Number(item.querySelector<HTMLElement>('.bar')!.style.getPropertyValue('--share')),
    })),
  )
  assert.deepEqual(
    shown,
    styles!.map(({ name, score }) => ({ name, score, text: percent(score, 1), bar: score })),
  )
}
