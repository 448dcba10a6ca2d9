import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Page } from 'playwright-core'
import { readApiKeys } from '../../services/api/api-key.ts'
import type { Operations } from '../../services/api/routes/operations.ts'
import { resultAddress } from '../../services/api/web/address.ts'
import { en } from '../../services/api/web/words/en.ts'
import { ko } from '../../services/api/web/words/ko.ts'
import { badPictures } from '../picture.ts'
import { until } from '../until.ts'
import { expectSuitable } from './browser.ts'
import { openPromenade, type Promenade } from './promenade.ts'

const keys = {
  app: 'a-key-of-the-app',
  reader: 'a-key-that-may-read',
  operator: 'a-key-of-operators',
  /** Has used up its requests. */
  busy: 'a-key-used-too-much',
}
const requestsPerMinute = 100
const { letters: text } = en.operations

let promenade: Promenade

before(async () => {
  const auth = { keys: readApiKeys(`${keys.app},${keys.reader}:read,${keys.operator}:admin,${keys.busy}:admin`) }
  promenade = await openPromenade({ auth, requestsPerMinute })
})

after(() => promenade?.close())

test('a key is asked for once it is needed, again when it is not known, and kept for the other views', async () => {
  await promenade.visit({ locale: 'ko-KR' }, async ({ page, expectTrouble }) => {
    expectTrouble(/status of 401/)
    await page.goto('/#/gallery')
    const dialog = page.getByRole('dialog', { name: ko.access.keyTitle })
    await dialog.waitFor()
    await expectSuitable(page)
    await page.keyboard.press('Escape')
    await page.getByRole('alert').getByText(ko.errors.UNAUTHORIZED).waitFor()
    await expectSuitable(page)
    await page.getByRole('button', { name: ko.access.another }).click()
    for (const key of ['a-key-that-nobody-knows', keys.app]) {
      await dialog.getByLabel(ko.access.key).fill(key)
      const answered = page.waitForResponse(/\/v1\/results/)
      await page.keyboard.press('Enter')
      assert.equal((await answered).status(), key === keys.app ? 200 : 401)
    }
    await page.getByText(ko.gallery.empty).waitFor()
    assert.equal(await page.getByRole('alert').count(), 0)
    await page.goto(`/${resultAddress({ key: 'uploads/none.jpg' })}`)
    expectTrouble(/status of 404/)
    await page.getByRole('alert').getByText(ko.errors.RESULT_NOT_FOUND).waitFor()
  })
})

test('who may not is told so, and may enter the key of somebody who may', async () => {
  await promenade.visit({}, async ({ page, expectTrouble }) => {
    expectTrouble(/status of 40[13]/)
    await page.goto('/#/operations')
    await enterKey(page, keys.reader)
    await page.getByRole('alert').getByText(en.errors.FORBIDDEN).waitFor()
    assert.equal(await page.getByRole('heading', { name: text.title }).isVisible(), false)
    await expectSuitable(page)
    await page.getByRole('button', { name: en.access.another }).click()
    await enterKey(page, keys.operator)
    await page.getByRole('heading', { name: text.title }).waitFor()
    assert.equal(await page.getByRole('alert').count(), 0)
    await expectSuitable(page)
  })
})

test('who asks too much is told so, in the operators view and where a result is followed', async () => {
  await until(async () => (await ask('/info', keys.busy)).status === 429)
  for (const [locale, words] of [
    ['en-GB', en],
    ['ko-KR', ko],
  ] as const) {
    await promenade.visit({ locale }, async ({ page, expectTrouble }) => {
      expectTrouble(/status of 4(01|29)/)
      await page.goto('/#/operations')
      await enterKey(page, keys.busy, words)
      await page.getByRole('alert').getByText(words.errors.RATE_LIMITED).waitFor()
      await page.goto(`/${resultAddress({ key: 'uploads/busy.jpg' })}`)
      await page.getByRole('status').getByText(words.result.away('RATE_LIMITED')).waitFor()
    })
  }
})

test('the figures are those of the API, and are renewed', async () => {
  await promenade.upload('uploads/a.jpg')
  await promenade.upload('uploads/b.jpg', await badPictures['truncated.jpg']!.make())
  await asOperator(async (page) => {
    await expectFigures(page)
    await promenade.withConsumer({}, async () => {
      await promenade.drained()
      await until(async () => (await expectFigures(page)).consumers.length === 1)
    })
    const { recent, failures } = await until(async () => {
      const told = await expectFigures(page)
      return told.consumers.length === 0 && told
    })
    assert.deepEqual([recent.length, failures.by_code], [1, [{ code: 'IMAGE_CORRUPT', jobs: 1 }]])
    await page.getByRole('heading', { name: en.operations.timings.title('1') }).waitFor()
    const composed = page.getByRole('row', { name: new RegExp(`^${en.operations.timings.stages.generate}`) })
    const { generate_ms: milliseconds } = recent[0]!
    const cells = await composed.getByRole('cell').allTextContents()
    assert.deepEqual(cells, Array(3).fill(`${milliseconds} ms`))
    await expectSuitable(page)
  })
  await promenade.deadLetters()
})

test('a dead letter is looked at, tried out, left, and then replayed, and its work is done', async () => {
  const key = 'uploads/letters/한글 1+1.jpg'
  await promenade.upload(key)
  const compose = () => Promise.reject(new Error('no such operator'))
  await promenade.withConsumer({ inference: { compose }, settings: { MAX_ATTEMPTS: '1' } }, promenade.drained)
  await asOperator(async (page) => {
    await page.getByLabel(text.prefix).fill('uploads/other/')
    await page.getByRole('button', { name: text.look }).click()
    await page.getByText(text.empty).waitFor()
    await page.getByLabel(text.prefix).fill('uploads/letters/')
    await page.getByLabel(text.code).selectOption('GENERATION_FAILED')
    await page.getByRole('button', { name: text.look }).click()
    await page.getByText(text.found('1')).waitFor()
    const row = page.getByRole('row', { name: new RegExp(en.errors.GENERATION_FAILED) })
    await row.getByRole('link', { name: key }).waitFor()
    await page.getByRole('button', { name: text.replay }).click()
    await page.getByText(text.chooseFirst).waitFor()
    await row.getByRole('checkbox').check()
    await page.getByText(text.chosen('1')).waitFor()
    await expectSuitable(page)

    const dialog = page.getByRole('dialog', { name: text.dialogTitle('1') })
    await page.getByRole('button', { name: text.replay }).click()
    await dialog.getByText(key).waitFor()
    await expectSuitable(page)
    await dialog.getByRole('button', { name: text.cancel }).click()
    assert.deepEqual(await promenade.queue.depth(), { visible: 0, inFlight: 0 })

    await page.getByRole('button', { name: text.replay }).click()
    await dialog.getByRole('button', { name: text.confirm('1') }).click()
    await page.getByText(text.done('1', '0')).waitFor()
    await row.getByText(text.outcomes.replayed).waitFor()
    assert.deepEqual(await promenade.queue.depth(), { visible: 1, inFlight: 0 })
    assert.deepEqual(await promenade.deadLetters(), [])
    await promenade.withConsumer({}, promenade.drained)
    await row.getByRole('link', { name: key }).click()
    await page.getByRole('heading', { name: en.result.music }).waitFor()
  })
})

async function enterKey(page: Page, key: string, words = en): Promise<void> {
  const dialog = page.getByRole('dialog', { name: words.access.keyTitle })
  await dialog.getByLabel(words.access.key).fill(key)
  await dialog.getByRole('button', { name: words.access.enter }).click()
  await dialog.waitFor({ state: 'detached' })
}

async function asOperator(use: (page: Page) => Promise<void>): Promise<void> {
  await promenade.visit({}, async ({ page, expectTrouble }) => {
    expectTrouble(/status of 401/)
    await page.goto('/#/operations')
    await enterKey(page, keys.operator)
    await page.getByRole('heading', { name: text.title }).waitFor()
    await use(page)
  })
}

const ask = (path: string, key: string) =>
  fetch(promenade.address + path, { headers: { authorization: `Bearer ${key}` } })

/** Those of the next answer to the page are the ones that it shows. */
async function expectFigures(page: Page): Promise<Operations> {
  const answer = await page.waitForResponse((response) => response.url().endsWith('/v1/operations') && response.ok())
  const told = (await answer.json()) as Operations
  const time = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' }).format(new Date(told.at))
  await page.getByText(en.operations.at(time)).waitFor()
  const { queue, dead_letters: letters, jobs } = told
  const { work, consumers } = en.operations
  const shown = async (name: string) => page.locator('dt', { hasText: name }).locator('+ dd').textContent()
  const figures: [name: string, figure: number][] = [
    [work.queue, queue!.visible],
    [work.inFlight, queue!.in_flight],
    [work.queued, jobs.queued],
    [work.processing, jobs.processing],
    [work.deadLetters, letters!.visible + letters!.in_flight],
  ]
  for (const [name, figure] of figures) assert.equal(await shown(name), String(figure), name)
  const rows = page.getByRole('region', { name: consumers.title }).getByRole('row')
  for (const [index, { id, clips }] of told.consumers.entries()) {
    const cells = await rows
      .nth(index + 1)
      .getByRole('cell')
      .allTextContents()
    assert.ok(
      (await rows
        .nth(index + 1)
        .getByRole('rowheader')
        .textContent())!.startsWith(id),
    )
    assert.deepEqual(
      [cells[0], cells[1], cells[5]],
      [consumers.running, 'stub-music 0stub-classifier 0', String(clips)],
    )
  }
  return told
}
