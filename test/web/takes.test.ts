import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { resultAddress } from '../../services/api/web/address.ts'
import { en } from '../../services/api/web/words/en.ts'
import { fakeResults, foundJob, succeededJob } from '../found-job.ts'
import { openFakePromenade } from './fake-promenade.ts'

const key = 'uploads/a'

let promenade: Awaited<ReturnType<typeof openFakePromenade>>

before(async () => {
  promenade = await openFakePromenade()
})

after(() => promenade?.close())

test('other takes are led to though other keys that begin so fill the list, and the first however many there are', async () => {
  const results = fakeResults()
  const shown = succeededJob(key, { take: 2 })
  results.set(shown)
  const others = Array.from({ length: 100 }, (_, index) => foundJob(`${key}-${index}.jpg`))
  const next = { createdAt: new Date(0), id: '0'.repeat(32) }
  for (const [pages, takes] of [
    [
      [others, [shown, succeededJob(key, { take: 1 })]],
      [0, 1, 2],
    ],
    [Array(200).fill(others), [0, 2]],
  ] as const) {
    const left = [...pages]
    const list = async () => ({ found: left.shift()!, next: left.length ? next : undefined })
    await promenade.visit({ results: { ...results, list } }, async ({ page, expectTrouble }) => {
      // Picture and music are in no bucket.
      expectTrouble(/amazonaws/)
      await page.goto(`/${resultAddress({ key, take: 2 })}`)
      const links = page.getByRole('navigation', { name: en.result.takes }).getByRole('link')
      await links.first().waitFor()
      assert.deepEqual(await links.allTextContents(), takes.map(en.result.take))
      assert.equal(await links.and(page.locator('[aria-current=page]')).textContent(), en.result.take(2))
    })
    assert.ok(left.length === 0 || left.length > 190, 'not all of a list is read')
  }
})

test('a prompt of spaces alone is none: the browser asks for one', async () => {
  const results = fakeResults()
  results.set(succeededJob(key))
  await promenade.visit({ results }, async ({ page, app, expectTrouble }) => {
    expectTrouble(/amazonaws/)
    app.server.on('request', ({ method }) => assert.equal(method, 'GET'))
    await page.goto(`/${resultAddress({ key })}`)
    const prompt = page.getByLabel(en.result.prompt)
    await prompt.fill(' \n ')
    await page.getByRole('button', { name: en.result.order }).click()
    assert.deepEqual(await page.evaluate('[document.activeElement.id, document.activeElement.validity.valueMissing]'), [
      'prompt',
      true,
    ])
  })
})

test('a key that can have no result leads to the page that takes pictures', async () => {
  await promenade.visit({}, async ({ page }) => {
    await page.goto('/#/results/uploads/a/../b.jpg')
    await page.getByRole('alert').getByText(en.errors.RESULT_NOT_FOUND).waitFor()
    await page.getByRole('link', { name: en.result.chooseAnother }).waitFor()
  })
})
