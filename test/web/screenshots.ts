/** `node test/web/screenshots.ts` draws the README's pictures of the page anew: to be looked at before they are committed. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page, PageScreenshotOptions } from 'playwright-core'
import sharp from 'sharp'
import { en } from '../../services/api/web/words/en.ts'
import { startPipeline } from '../../services/local/pipeline.ts'
import { drawSamplePictures } from '../../services/local/sample-pictures.ts'
import { openBrowser, phone } from './browser.ts'
import { provideChromium } from './chromium.ts'
import { openPromenade } from './promenade.ts'
import { startStepper } from './stepper.ts'

const say = (line: string) => console.error(line)
const outDir = fileURLToPath(new URL('../../services/api/web/screenshots', import.meta.url))
const modelDir = fileURLToPath(new URL('../../.local/models', import.meta.url))
const desktop = { viewport: { width: 1100, height: 760 } }

await provideChromium(say)
await mkdir(outDir, { recursive: true })
const folder = await mkdtemp(join(tmpdir(), 'promenade-screenshots-'))
// Long enough to be met while it is composed.
const env = { ...process.env, MUSIC_SECONDS: '20' }
const pipeline = await startPipeline({ env, modelDir, say })
const browser = await openBrowser()
const baseURL = pipeline.apiUrl
let address = ''
try {
  await browser.visit({ ...desktop, baseURL }, async ({ page }) => {
    await page.goto('/')
    await keep(page, 'try')
    await upload(page, await brokenPicture())
    await page.getByRole('heading', { name: en.result.failed }).waitFor()
    await keep(page, 'failed')
    for (const picture of await drawSamplePictures(folder)) {
      await upload(page, picture)
      await toBePlayed(page)
    }
    address = page.url()
    await keep(page, 'result', { fullPage: true })
    await page.getByRole('link', { name: en.shell.views.gallery }).click()
    await page.getByRole('article').nth(2).waitFor()
    await shown(page)
    await keep(page, 'gallery')
    await page.getByRole('link', { name: en.shell.views.operations }).click()
    await page.getByRole('button', { name: en.operations.letters.look }).click()
    await page.getByRole('checkbox').first().waitFor()
    // It has told of what it has done since.
    await page.getByRole('cell', { name: /\d ×$/ }).waitFor({ timeout: 60_000 })
    await keep(page, 'operators', { fullPage: true })
  })
  await browser.visit({ ...desktop, baseURL, locale: 'ko-KR', colorScheme: 'dark' }, async ({ page }) => {
    await page.goto(address)
    await toBePlayed(page)
    await keep(page, 'dark-korean')
  })
  await browser.visit({ ...phone, baseURL }, async ({ page }) => {
    await page.goto(address)
    await toBePlayed(page)
    await keep(page, 'phone')
  })
  await keepComposing()
} finally {
  await browser.close()
  await pipeline.close()
  await rm(folder, { recursive: true, force: true })
}

/** With a consumer that stands still there. */
async function keepComposing(): Promise<void> {
  const promenade = await openPromenade()
  const stepper = await startStepper(promenade.stack.env.AWS_ENDPOINT_URL!)
  try {
    stepper.hold('composing')
    await promenade.withConsumer(stepper, () =>
      promenade.visit(desktop, async ({ page }) => {
        await upload(page, join(folder, 'harbour.png'))
        await page.locator('[aria-current=step]', { hasText: '%' }).waitFor()
        await keep(page, 'composing')
        stepper.release('composing')
        await page.getByRole('heading', { name: en.result.music }).waitFor()
      }),
    )
  } finally {
    await stepper.close()
    await promenade.close()
  }
}

async function brokenPicture(): Promise<string> {
  const path = join(folder, 'broken.jpg')
  await writeFile(path, 'no picture')
  return path
}

async function upload(page: Page, picture: string): Promise<void> {
  await page.goto('/#/')
  await page.getByRole('heading', { name: en.upload.title }).waitFor()
  await page.locator('input[type=file]').first().setInputFiles(picture)
}

/** The waveform is drawn when the length is known. */
async function toBePlayed(page: Page): Promise<void> {
  await page.getByText('0:20').waitFor()
  await shown(page)
}

async function shown(page: Page): Promise<void> {
  for (const image of await page.locator('img').all()) {
    await image.scrollIntoViewIfNeeded()
    await image.evaluate((each: HTMLImageElement) => each.decode())
  }
  await page.evaluate('scrollTo(0, 0)')
}

async function keep(page: Page, name: string, options: PageScreenshotOptions = {}): Promise<void> {
  const png = await page.screenshot({ animations: 'disabled', ...options })
  const small = await sharp(png).png({ palette: true, colours: 128, effort: 10 }).toBuffer()
  await writeFile(join(outDir, `${name}.png`), small)
  say(`${name}.png: ${Math.ceil(small.length / 1000)} kB`)
}
