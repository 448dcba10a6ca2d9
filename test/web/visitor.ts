import assert from 'node:assert/strict'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import type { Locator, Page } from 'playwright-core'
import type { Words } from '../../services/api/web/words/en.ts'
import { drawPicture } from '../picture.ts'
import type { Promenade } from './promenade.ts'

/** A file as a user has it. */
export interface PictureFile {
  name: string
  mimeType: string
  buffer: Buffer
}

const mostTabs = 80

export const jpeg = async (name: string): Promise<PictureFile> => ({
  name,
  mimeType: 'image/jpeg',
  buffer: await drawPicture(1).jpeg().toBuffer(),
})

/** What lies under a key in the bucket. */
export async function objectOf({ stack, bucket }: Promenade, key: string): Promise<Buffer> {
  const { Body } = await stack.s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
  return Buffer.from(await Body!.transformToByteArray())
}

/** `button`: its name, where it is another one that opens the chooser. */
export async function choosePicture(page: Page, words: Words, file: PictureFile, button?: string): Promise<void> {
  const choosing = page.waitForEvent('filechooser')
  await page.getByRole('button', { name: button ?? words.upload.choose }).click()
  await (await choosing).setFiles(file)
}

/** Of the result that the page shows, once it does. */
export async function resultKey(page: Page): Promise<string> {
  await page.waitForURL(/#\/results\//)
  const [path] = new URL(page.url()).hash.replace('#/results/', '').split('?')
  return decodeURIComponent(path!)
}

/** Tab by Tab, until it has the focus. */
export async function tabTo(page: Page, target: Locator): Promise<void> {
  await target.waitFor()
  for (let tabs = 0; tabs < mostTabs; tabs++) {
    await page.keyboard.press('Tab')
    if (await target.evaluate((element) => element === document.activeElement)) return
  }
  assert.fail(`${target} is not reached by ${mostTabs} Tabs`)
}

/** As the page writes numbers, for visitors who speak English. */
export const percent = (share: number, maximumFractionDigits = 0) =>
  new Intl.NumberFormat('en-GB', { style: 'percent', maximumFractionDigits }).format(share)
