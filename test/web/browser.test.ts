import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Page } from 'playwright-core'
import { type Browser, expectAccessible, expectNoSideways, openBrowser, phone } from './browser.ts'
import { findChromium } from './chromium.ts'

const policy = "default-src 'self' data:"
const head = `<!DOCTYPE html><html lang="en"><head><title>A page</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1"></head>`
const files: Record<string, { type: string; body: string; headers?: Record<string, string> }> = {
  '/good': { type: 'text/html', body: `${head}<body><main><h1>Good</h1></main></body></html>` },
  '/inline': {
    type: 'text/html',
    body: `${head}<body><script>document.title = 'run'</script></body></html>`,
    headers: { 'content-security-policy': policy },
  },
  '/strict': {
    type: 'text/html',
    body: `${head}<body><main><h1>Strict</h1><img src="/picture.gif"></main></body></html>`,
    headers: { 'content-security-policy': policy },
  },
  '/throws': { type: 'text/html', body: `${head}<body><script src="/throws.js"></script></body></html>` },
  '/throws.js': { type: 'text/javascript', body: "throw new Error('thrown on purpose')" },
  '/picture.gif': {
    type: 'image/gif',
    body: Buffer.from('R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs=', 'base64').toString('latin1'),
  },
}

let browser: Browser
const server = createServer((request, response) => {
  const file = files[request.url!]
  if (request.url === '/cut') return void request.socket.destroy()
  if (!file) return void response.writeHead(404).end()
  response.writeHead(200, { 'content-type': file.type, ...file.headers }).end(file.body, 'latin1')
}).listen(0, '127.0.0.1')
const baseURL = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`

before(async () => {
  if (!server.listening) await once(server, 'listening')
  browser = await openBrowser()
})

after(async () => {
  await browser.close()
  server.close()
})

test('a page without fault passes, with the language and the colours that were asked for', async () => {
  await browser.visit({ baseURL: baseURL(), locale: 'ko-KR', colorScheme: 'dark' }, async ({ page }) => {
    await page.goto('/good')
    const dark = "matchMedia('(prefers-color-scheme: dark)').matches"
    assert.deepEqual(await page.evaluate(`[navigator.language, ${dark}]`), ['ko-KR', true])
    await expectAccessible(page)
  })
})

test('what goes wrong in the page fails the visit, unless it was expected', async () => {
  const wrong: [what: string, told: RegExp, provoke: (page: Page) => Promise<unknown>][] = [
    ['an error in a script', /page: Error: thrown on purpose/, (page) => page.goto('/throws')],
    ['a breach of the policy', /console: .*Content Security Policy/, (page) => page.goto('/inline')],
    ['an answer of 404', /console: .*404/, (page) => page.evaluate("fetch('/none').then(() => {})")],
    [
      'a request that fails',
      /request: GET .*\/cut: net::ERR_/,
      (page) => page.evaluate("fetch('/cut').catch(() => {})"),
    ],
    ['an error on the console', /console: broken/, (page) => page.evaluate("console.error('broken')")],
  ]
  for (const [what, told, provoke] of wrong) {
    const visit = (expected: RegExp[]) =>
      browser.visit({ baseURL: baseURL() }, async ({ page, expectTrouble }) => {
        expected.forEach(expectTrouble)
        await page.goto('/good')
        await provoke(page)
      })
    await assert.rejects(visit([]), told, what)
    await visit([/./])
  }
})

test('what the test itself finds is told beside it', async () => {
  const visit = browser.visit({ baseURL: baseURL() }, async ({ page }) => {
    await page.goto('/good')
    await page.evaluate("console.error('broken')")
    assert.equal(1, 2, 'one is not two')
  })
  await assert.rejects(visit, (error: Error) => /one is not two/.test(error.message) && /broken/.test(error.message))
})

test('what is not accessible is named, under a strict policy too', async () => {
  await browser.visit({ baseURL: baseURL() }, async ({ page }) => {
    await page.goto('/strict')
    await assert.rejects(expectAccessible(page), /critical image-alt: .*\n +img: /)
  })
})

test('what is wider than a phone is told', async () => {
  await browser.visit({ baseURL: baseURL(), ...phone }, async ({ page }) => {
    await page.goto('/good')
    await expectNoSideways(page)
    await page.evaluate("document.body.style.width = '400px'")
    await assert.rejects(expectNoSideways(page), /is 4\d\d pixels wide in a window of 360/)
  })
})

test('a snap is not taken for a browser, and a program that is named must be there', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'promenade-chromium-'))
  t.after(() => rm(folder, { recursive: true }))
  const [shim, real] = [join(folder, 'chromium'), join(folder, 'google-chrome')]
  await writeFile(shim, '#!/bin/sh\nexec /snap/bin/chromium "$@"\n')
  await writeFile(real, '#!/bin/sh\n')
  await Promise.all([shim, real].map((file) => chmod(file, 0o755)))
  assert.equal(findChromium({ PATH: folder }), real)
  assert.equal(findChromium({ PATH: folder, CHROMIUM: shim }), shim)
  assert.throws(() => findChromium({ CHROMIUM: join(folder, 'none') }), /CHROMIUM=.*none does not exist/)
})
