import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { DeleteObjectCommand, GetObjectCommand } from '@aws-sdk/client-s3'
import type { JSHandle, Page } from 'playwright-core'
import sharp from 'sharp'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { resultAddress } from '../../services/api/web/address.ts'
import { en } from '../../services/api/web/words/en.ts'
import { ko } from '../../services/api/web/words/ko.ts'
import { badPictures, drawPicture } from '../picture.ts'
import { expectSuitable } from './browser.ts'
import { openPromenade, type Promenade } from './promenade.ts'
import { startStepper } from './stepper.ts'
import { choosePicture, type PictureFile, percent, resultKey } from './visitor.ts'

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

test('a picture that is dropped or pasted, on whichever view, comes whole into the bucket', async () => {
  await promenade.visit({ permissions: ['clipboard-read', 'clipboard-write'] }, async ({ page }) => {
    const file = await jpeg('dropped.jpg')
    await page.goto('/#/gallery')
    await page.getByRole('heading', { level: 1, name: en.gallery.title }).waitFor()
    const dataTransfer = await transferOf(page, [file])
    await page.dispatchEvent('main', 'dragover', { dataTransfer })
    await page.getByText(en.upload.dropHere).waitFor()
    await page.dispatchEvent('main', 'drop', { dataTransfer })
    const dropped = await resultKey(page)
    assert.match(dropped, /dropped\.jpg$/)
    assert.ok(file.buffer.equals(await object(dropped)))
    assert.equal(await page.getByText(en.upload.dropHere).isVisible(), false)

    const copied = await drawPicture(2).png().toBuffer()
    await page.evaluate(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
      await navigator.clipboard.write([new ClipboardItem({ 'image/png': new Blob([bytes], { type: 'image/png' }) })])
    }, copied.toString('base64'))
    await page.keyboard.press('Control+V')
    await page.waitForURL((url) => /image\.png$/.test(url.hash))
    const pasted = await object(await resultKey(page))
    assert.deepEqual(await drawPicture(2).raw().toBuffer(), await sharp(pasted).removeAlpha().raw().toBuffer())
  })
  await promenade.withConsumer({}, promenade.drained)
})

for (const [locale, words] of languages) {
  test(`of several pictures dropped or pasted at once the first is taken, and that is said, in ${locale}`, async () => {
    await promenade.visit({ locale }, async ({ page }) => {
      await page.goto('/#/gallery')
      await page.getByRole('heading', { level: 1, name: words.gallery.title }).waitFor()
      const files = await Promise.all(['one.jpg', 'two.jpg', 'three.jpg'].map(jpeg))
      // For as long as the first of them is being sent.
      await page.route('**/v1/uploads', () => {})
      await page.dispatchEvent('main', 'drop', { dataTransfer: await transferOf(page, files) })
      const chosen = page.getByRole('region', { name: words.upload.chosen })
      await chosen.getByText('one.jpg').waitFor()
      const said = (count: number) => page.getByRole('status').getByText(words.upload.onlyFirst(String(count)))
      await said(3).waitFor()
      await expectSuitable(page)
      await choosePicture(page, words, await jpeg('other.jpg'), words.upload.another)
      await chosen.getByText('other.jpg').waitFor()
      await said(3).waitFor({ state: 'detached' })
      await page.evaluate(
        (clipboardData) => document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true })),
        await transferOf(page, files.slice(1)),
      )
      await chosen.getByText('two.jpg').waitFor()
      await said(2).waitFor()
      await page.dispatchEvent('main', 'drop', { dataTransfer: await transferOf(page, files.slice(0, 1)) })
      await chosen.getByText('one.jpg').waitFor()
      await said(2).waitFor({ state: 'detached' })
      await page.unroute('**/v1/uploads')
      await page.dispatchEvent('main', 'drop', { dataTransfer: await transferOf(page, files) })
      await resultKey(page)
      await said(3).waitFor()
    })
  })
}

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
    assert.ok(buffer.equals(await object(await resultKey(page))))
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
    assert.ok(file.buffer.equals(await object(await resultKey(page))))
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

const jpeg = async (name: string): Promise<PictureFile> => ({
  name,
  mimeType: 'image/jpeg',
  buffer: await drawPicture(1).jpeg().toBuffer(),
})

/** What is dropped or pasted. */
function transferOf(page: Page, files: PictureFile[]): Promise<JSHandle<DataTransfer>> {
  return page.evaluateHandle(
    (files) => {
      const transfer = new DataTransfer()
      for (const { base64, name, type } of files) {
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
        transfer.items.add(new File([bytes], name, { type }))
      }
      return transfer
    },
    files.map(({ buffer, name, mimeType }) => ({ base64: buffer.toString('base64'), name, type: mimeType })),
  )
}

async function object(key: string): Promise<Buffer> {
  const { Body } = await promenade.stack.s3.send(new GetObjectCommand({ Bucket: promenade.bucket, Key: key }))
  return Buffer.from(await Body!.transformToByteArray())
}

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
