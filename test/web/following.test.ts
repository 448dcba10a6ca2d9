import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Page } from 'playwright-core'
import { resultAddress } from '../../services/api/web/address.ts'
import { en } from '../../services/api/web/words/en.ts'
import { ko } from '../../services/api/web/words/ko.ts'
import type { Inference } from '../../services/consumer/pipeline/music-maker.ts'
import { startTcpProxy } from '../tcp-proxy.ts'
import { expectSuitable } from './browser.ts'
import { openPromenade, type Promenade } from './promenade.ts'
import { startStepper } from './stepper.ts'

let promenade: Promenade
let stepper: Awaited<ReturnType<typeof startStepper>>

before(async () => {
  promenade = await openPromenade()
  stepper = await startStepper(promenade.stack.env.AWS_ENDPOINT_URL!)
})

after(async () => {
  await stepper?.close()
  await promenade?.close()
})

test('who loads the page anew in the middle sees the work where it is, and its end', async () => {
  const key = 'uploads/reloaded.jpg'
  await promenade.upload(key)
  stepper.hold('composing')
  await promenade.visit({}, async ({ page }) => {
    await page.goto(`/${resultAddress({ key })}`)
    await promenade.withConsumer(stepper, async () => {
      await atStage(page, 'composing')
      await page.reload()
      await atStage(page, 'composing')
      await page.getByRole('img', { name: en.result.picture('reloaded') }).waitFor()
      stepper.release('composing')
      await finished(page)
    })
    await page.reload()
    await finished(page)
  })
})

test('who is offline for a while is told so, and then sees what has come of it meanwhile', async () => {
  const key = 'uploads/offline.jpg'
  await promenade.upload(key)
  stepper.hold('composing')
  await promenade.visit({}, async ({ page, context, expectTrouble }) => {
    expectTrouble(/ERR_INTERNET_DISCONNECTED/)
    await page.goto(`/${resultAddress({ key })}`)
    await promenade.withConsumer(stepper, async () => {
      await atStage(page, 'composing')
      await context.setOffline(true)
      await page.getByRole('status').getByText(en.result.offline).waitFor()
      await expectSuitable(page)
      stepper.release('composing')
      await promenade.drained()
      assert.equal(await page.getByRole('heading', { name: en.result.music }).count(), 0)
      await context.setOffline(false)
      await finished(page)
    })
    await page.getByText(en.result.offline).waitFor({ state: 'detached' })
  })
})

test('an API that is away for a while is told so; the page goes on by itself when it is back', async () => {
  const key = 'uploads/away.jpg'
  await promenade.upload(key)
  const wire = await startTcpProxy(Number(new URL(promenade.address).port))
  stepper.hold('classifying')
  try {
    await promenade.visit({ baseURL: `http://127.0.0.1:${wire.port}` }, async ({ page, expectTrouble }) => {
      expectTrouble(/ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED/)
      await page.goto(`/${resultAddress({ key })}`)
      await promenade.withConsumer(stepper, async () => {
        await atStage(page, 'classifying')
        wire.reset()
        await page.getByRole('status').getByText(en.result.lost).waitFor()
        wire.pass()
        await page.getByText(en.result.lost).waitFor({ state: 'detached' })
        await atStage(page, 'classifying')
        stepper.release('classifying')
        await finished(page)
      })
    })
  } finally {
    await wire.close()
  }
})

test('a second attempt is told of, and work is canceled at once when its user wants so', async () => {
  const key = 'uploads/canceled.jpg'
  await promenade.upload(key)
  stepper.hold('composing')
  await promenade.visit({}, async ({ page }) => {
    await page.goto(`/${resultAddress({ key })}`)
    let attempts = 0
    const compose: Inference['compose'] = async (...clip) => {
      if (++attempts === 1) throw new Error('out of memory')
      return stepper.inference.compose!(...clip)
    }
    // A cancellation is heard of when the lease is renewed.
    const settings = { ...stepper.settings, LEASE_SECONDS: '3' }
    await promenade.withConsumer({ inference: { ...stepper.inference, compose }, settings }, async () => {
      await page.getByText(en.result.attempt(2)).waitFor()
      await atStage(page, 'composing')
      await page.getByRole('button', { name: en.result.cancel }).click()
      await page.getByRole('heading', { level: 2, name: en.result.canceled }).waitFor()
      assert.equal((await promenade.get(key)).body.status, 'canceled')
      await promenade.drained()
    })
    stepper.release('composing')
    await expectSuitable(page)
    await page.getByRole('link', { name: en.result.uploadAgain }).click()
    await page.getByRole('heading', { level: 1, name: en.upload.title }).waitFor()
  })
})

test('a key of whatever letters leads to its result, and one that was never uploaded to the page that takes pictures', async () => {
  const key = 'uploads/둘/한글 그림+1 100% 😀?#&.jpg'
  await promenade.analysed(key)
  await promenade.visit({ locale: 'ko-KR' }, async ({ page, expectTrouble }) => {
    await page.goto(`/${resultAddress({ key })}`)
    await page.getByRole('heading', { level: 1, name: '한글 그림+1 100% 😀?#&' }).waitFor()
    await page.getByRole('heading', { name: ko.result.music }).waitFor()
    expectTrouble(/404/)
    await page.goto(`/${resultAddress({ key: 'uploads/없음.jpg' })}`)
    await page.getByRole('alert').getByText(ko.errors.RESULT_NOT_FOUND).waitFor()
    await expectSuitable(page)
    await page.getByRole('link', { name: ko.result.chooseAnother }).click()
    await page.getByRole('heading', { level: 1, name: ko.upload.title }).waitFor()
  })
})

test('what the API says itself, in English, is marked as that on a Korean page', async () => {
  const key = 'uploads/실패.jpg'
  await promenade.upload(key, Buffer.from('no picture'))
  await promenade.withConsumer({}, promenade.drained)
  await promenade.visit({ locale: 'ko-KR' }, async ({ page, expectTrouble }) => {
    const marked = (text: string) => page.locator('[lang=en]', { hasText: text }).waitFor()
    await page.goto(`/${resultAddress({ key })}`)
    await page.getByText(ko.errors.IMAGE_UNSUPPORTED_TYPE).waitFor()
    await marked('IMAGE_UNSUPPORTED_TYPE: ')
    expectTrouble(/404/)
    await page.goto(`/${resultAddress({ key: 'uploads/없음.jpg' })}`)
    await marked('RESULT_NOT_FOUND: no picture with this key')
  })
})

test('another take that could not be ordered is ordered when its user tries again, and no more than once', async () => {
  const key = 'uploads/ordered.jpg'
  await promenade.analysed(key)
  await promenade.visit({}, async ({ page, context, expectTrouble }) => {
    await page.goto(`/${resultAddress({ key })}`)
    await page.getByLabel(en.result.prompt).fill('A slow waltz')
    expectTrouble(/ERR_INTERNET_DISCONNECTED/)
    await context.setOffline(true)
    await page.getByRole('button', { name: en.result.order }).click()
    const fault = page.getByRole('alert')
    await fault.getByText(en.errors.NETWORK_ERROR).waitFor()
    await context.setOffline(false)
    await fault.getByRole('button', { name: en.shell.again }).click()
    await page.waitForURL(/take=1/)
    await promenade.withConsumer({}, async () => finished(page))
    await page.getByRole('blockquote').getByText('A slow waltz').waitFor()
    const takes = page.getByRole('navigation', { name: en.result.takes })
    assert.deepEqual(await takes.getByRole('link').allTextContents(), [en.result.take(0), en.result.take(1)])
    await takes.getByRole('link', { name: en.result.take(0) }).click()
    await page.getByRole('heading', { level: 1, name: 'ordered', exact: true }).waitFor()
    await page.getByRole('blockquote').waitFor()
    assert.notEqual(await page.getByRole('blockquote').textContent(), 'A slow waltz')
  })
})

function atStage(page: Page, stage: keyof typeof en.result.stages): Promise<void> {
  return page.locator('[aria-current=step]', { hasText: en.result.stages[stage] }).waitFor()
}

function finished(page: Page): Promise<void> {
  return page.getByRole('heading', { name: en.result.music }).waitFor()
}
