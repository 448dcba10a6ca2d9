import type { FastifyInstance } from 'fastify'
import { type AppOptions, createApp } from '../../services/api/app.ts'
import { bundlePage } from '../../services/api/bundle-page.ts'
import { createPage } from '../../services/api/page.ts'
import { apiOptions } from '../api-options.ts'
import { type Browser, openBrowser, type Visit } from './browser.ts'

/** A browser for a file of tests, which closes it, and an API with the page for each visit, behind which there are fakes. */
export async function openFakePromenade() {
  const browser: Browser = await openBrowser()
  const page = createPage(await bundlePage())
  return {
    async visit(more: Partial<AppOptions>, use: (visit: Visit & { app: FastifyInstance }) => Promise<void>) {
      const app = (await createApp(apiOptions({ page, ...more }))) as unknown as FastifyInstance
      try {
        const baseURL = await app.listen({ host: '127.0.0.1', port: 0 })
        await browser.visit({ baseURL }, (visit) => use({ ...visit, app }))
      } finally {
        await app.close()
      }
    },

    close: () => browser.close(),
  }
}
