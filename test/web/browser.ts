import assert from 'node:assert/strict'
import axe from 'axe-core'
import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { ChromiumMissingError, findChromium } from './chromium.ts'

/** Far above what anything takes: what is not there by then does not come. */
const actionMs = 20_000
const launchMs = 60_000
/** How a request ends that the page itself gave up, such as an event stream that it has closed. */
const givenUp = 'net::ERR_ABORTED'

/** A small one. */
export const phone: BrowserContextOptions = {
  viewport: { width: 360, height: 640 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
}

export type Browser = Awaited<ReturnType<typeof openBrowser>>

export interface Visit {
  page: Page
  context: BrowserContext
  /** From now on, what matches is no failure of the test: what it provokes, such as an answer of 404. */
  expectTrouble: (pattern: RegExp) => void
}

/** One for a file of tests, which closes it. */
export async function openBrowser() {
  const executablePath = findChromium()
  if (!executablePath) throw new ChromiumMissingError('no Chromium found: `npm test` installs it or says how')
  const chromiumSandbox = process.getuid?.() !== 0
  // Without a locale, Chromium calls what it downloads `download` where the name is not of ASCII.
  const env = { ...process.env, LC_ALL: 'C.UTF-8' }
  const browser = await chromium.launch({ executablePath, chromiumSandbox, timeout: launchMs, env })

  return {
    /**
     * Opens a page in a context of its own. Fails on what `use` throws, and on any error on the console or in the page,
     * failed request and breach of the content-security policy that it did not expect.
     */
    async visit(options: BrowserContextOptions, use: (visit: Visit) => Promise<void>): Promise<void> {
      const context = await browser.newContext({ locale: 'en-GB', reducedMotion: 'reduce', ...options })
      context.setDefaultTimeout(actionMs)
      const expected: RegExp[] = []
      const troubles = watchTroubles(context, (trouble) => expected.some((pattern) => pattern.test(trouble)))
      const failures: unknown[] = []
      try {
        const page = await context.newPage()
        // From the beginning: it is some time after the first listener that choosers are handed to the test.
        page.on('filechooser', () => {})
        await use({ page, context, expectTrouble: (pattern) => expected.push(pattern) })
      } catch (error) {
        failures.push(error)
      } finally {
        await context.close()
      }
      if (troubles.length) failures.push(new Error(`in the browser:\n  ${troubles.join('\n  ')}`))
      if (failures.length > 1) throw new AggregateError(failures, failures.map(String).join('\n'))
      if (failures.length) throw failures[0]
    },

    close: () => browser.close(),
  }
}

/** Collects as it goes what goes wrong in any page of the context. Chromium tells breaches of the policy on the console. */
function watchTroubles(context: BrowserContext, isExpected: (trouble: string) => boolean): string[] {
  const troubles: string[] = []
  const note = (trouble: string) => {
    if (!isExpected(trouble)) troubles.push(trouble)
  }
  context.on('console', (message) => {
    const { url, line } = message.location()
    if (message.type() === 'error') note(`console: ${message.text()} (${url}:${line + 1})`)
  })
  context.on('weberror', (error) => note(`page: ${error.error().stack}`))
  context.on('requestfailed', (request) => {
    const how = request.failure()?.errorText ?? 'failed'
    if (how !== givenUp) note(`request: ${request.method()} ${request.url()}: ${how}`)
  })
  context.on('page', (page) => page.on('crash', () => note(`page: ${page.url()} crashed`)))
  return troubles
}

/** What the page shows now suits everyone: on a wide window and light, and on a phone and dark. */
export async function expectSuitable(page: Page): Promise<void> {
  const wide = page.viewportSize()!
  await page.emulateMedia({ colorScheme: 'light' })
  await expectAccessible(page)
  await page.emulateMedia({ colorScheme: 'dark' })
  await page.setViewportSize(phone.viewport!)
  await expectNoSideways(page)
  await expectAccessible(page)
  await page.emulateMedia({ colorScheme: null })
  await page.setViewportSize(wide)
}

/** By axe-core: nothing on the page is of serious or critical harm to who cannot see it, or not well, or uses no mouse. */
export async function expectAccessible(page: Page): Promise<void> {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate<Pick<axe.AxeResults, 'violations'>>(
    "axe.run({ resultTypes: ['violations'], preload: false })",
  )
  const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  const told = grave.flatMap(({ id, impact, help, nodes }) => [
    `${impact} ${id}: ${help}`,
    ...nodes.map(({ target, failureSummary }) => `  ${target.join(' ')}: ${failureSummary?.replaceAll('\n', ' ')}`),
  ])
  assert.equal(told.length, 0, `axe-core finds on ${page.url()}:\n${told.join('\n')}`)
}

/** Nothing on the page is wider than the window, so that nobody has to scroll sideways. */
export async function expectNoSideways(page: Page): Promise<void> {
  const content = await page.evaluate<number>('document.documentElement.scrollWidth')
  const { width } = page.viewportSize()!
  assert.ok(content <= width, `${page.url()} is ${content} pixels wide in a window of ${width}`)
}
