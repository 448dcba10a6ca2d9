import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { JSHandle, Page } from 'playwright-core'
import sharp from 'sharp'
import { en } from '../../services/api/web/words/en.ts'
import { ko } from '../../services/api/web/words/ko.ts'
import { drawPicture } from '../picture.ts'
import { expectSuitable } from './browser.ts'
import { openPromenade, type Promenade } from './promenade.ts'
import { choosePicture, jpeg, objectOf, type PictureFile, resultKey } from './visitor.ts'

const languages = [
  ['en-GB', en],
  ['ko-KR', ko],
] as const

let promenade: Promenade

before(async () => {
  promenade = await openPromenade()
})

after(() => promenade?.close())

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
    assert.ok(file.buffer.equals(await objectOf(promenade, dropped)))
    assert.equal(await page.getByText(en.upload.dropHere).isVisible(), false)

    const copied = await drawPicture(2).png().toBuffer()
    await page.evaluate(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
      await navigator.clipboard.write([new ClipboardItem({ 'image/png': new Blob([bytes], { type: 'image/png' }) })])
    }, copied.toString('base64'))
    await page.keyboard.press('Control+V')
    await page.waitForURL((url) => /image\.png$/.test(url.hash))
    const pasted = await objectOf(promenade, await resultKey(page))
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
