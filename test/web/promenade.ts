import type { BrowserContextOptions } from 'playwright-core'
import type { AppOptions } from '../../services/api/app.ts'
import { bundlePage } from '../../services/api/bundle-page.ts'
import { createPage } from '../../services/api/page.ts'
import { startWholeStack } from '../whole-stack.ts'
import { openBrowser, type Visit } from './browser.ts'

/** What the API allows by default. */
const maxImageBytes = 20 * 1024 * 1024

export type Promenade = Awaited<ReturnType<typeof openPromenade>>

/** The whole stack with the page, and a browser to visit it. One for a file of tests, which closes it. */
export async function openPromenade(options: Partial<AppOptions> = {}) {
  const whole = await startWholeStack({ page: createPage(await bundlePage()), maxImageBytes, ...options })
  const browser = await openBrowser().catch(async (error: unknown) => {
    await whole.close()
    throw error
  })
  return {
    ...whole,

    /** As the browser's own, with addresses relative to the API's. */
    visit: (options: BrowserContextOptions, use: (visit: Visit) => Promise<void>) =>
      browser.visit({ baseURL: whole.address, ...options }, use),

    async close(): Promise<void> {
      await browser.close()
      await whole.close()
    },
  }
}
