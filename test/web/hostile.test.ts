import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { CopyObjectCommand, type CopyObjectCommandInput } from '@aws-sdk/client-s3'
import { SendMessageCommand } from '@aws-sdk/client-sqs'
import { objectKey } from '#shared/contract/key.ts'
import type { Result } from '#shared/contract/result.ts'
import { en } from '../../services/api/web/words/en.ts'
import { openPromenade, type Promenade } from './promenade.ts'

const hostileName = `a#b?c%2Fd..e"'<>&+ 😀\u202eabc`
const hostileKey = `uploads/${hostileName}.jpg`
const resultHash = `#/results/${hostileKey.split('/').map(encodeURIComponent).join('/')}`

let promenade: Promenade
let result: Result

before(async () => {
  promenade = await openPromenade()
  result = await promenade.analysed(hostileKey)
})

after(() => promenade.close())

test('what dead letters say of themselves is text, whatever it looks like', async () => {
  const reason = '<img src="/web/none" onerror="alert(1)">'
  const keys = ['javascript:alert(1)', '"><script>alert(1)</script>', hostileKey]
  for (const key of keys) await sendLetter({ reason_code: 'constructor', reason, image_key: encodeURIComponent(key) })
  await promenade.visit({}, async ({ page }) => {
    await page.goto('/#/operations')
    await page.getByRole('button', { name: en.operations.letters.look }).click()
    const region = page.getByRole('region', { name: en.operations.letters.title })
    await region.getByText(reason).first().waitFor()
    assert.equal(await region.getByText(en.errors.INTERNAL_ERROR).count(), keys.length)
    assert.equal(await region.getByText('-').count(), 0)
    for (const link of await region.getByRole('link').all()) {
      assert.match((await link.getAttribute('href'))!, /^#\/results\//)
    }
    await region.getByRole('link', { name: hostileName }).click()
    await page.getByRole('heading', { level: 1, name: hostileName }).waitFor()
    await page.getByRole('heading', { name: en.result.music }).waitFor()
  })
})

test('text that is pasted with a picture of itself stays where it is pasted', async () => {
  await promenade.visit({}, async ({ page }) => {
    await page.goto(`/${resultHash}`)
    const prompt = page.getByLabel(en.result.prompt)
    await prompt.evaluate((field) => {
      const clipboardData = new DataTransfer()
      clipboardData.items.add(new File(['x'], 'image.png', { type: 'image/png' }))
      field.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }))
    })
    assert.equal(await page.evaluate('location.hash'), resultHash)
    await page.getByRole('heading', { name: en.result.music }).waitFor()
  })
})

test('a view of music that is left while it loads says nothing on the console', async () => {
  await promenade.visit({}, async ({ page }) => {
    await page.goto(`/${resultHash}`)
    for (const _ of Array(10)) {
      await page.getByText(en.result.details).waitFor()
      await page.evaluate("location.hash = '#/'")
      await page.getByRole('heading', { name: en.upload.title }).waitFor()
      await page.goto(`/${resultHash}`)
    }
  })
})

test('what the store gives as music and is none is told, and may be tried again', async () => {
  await promenade.visit({}, async ({ page }) => {
    const headers = { 'access-control-allow-origin': '*' }
    await page.route('**/generated/**', (route) => route.fulfill({ body: 'no music', headers }), { times: 1 })
    await page.goto(`/${resultHash}`)
    await page.getByText(en.errors.NETWORK_ERROR).waitFor()
    await page.getByRole('button', { name: en.shell.again }).click()
    await page.getByText(en.errors.NETWORK_ERROR).waitFor({ state: 'detached' })
    await page.getByRole('slider', { name: en.result.position }).waitFor()
  })
})

test('music that was played in the gallery, from an address that the page may not read there, is drawn all the same', async () => {
  // As browsers do by themselves with what has lain in the store for a while.
  await promenade.stack.s3.send(new CopyObjectCommand({ ...music(), CacheControl: 'max-age=600' }))
  await promenade.visit({}, async ({ page }) => {
    await page.goto('/#/gallery')
    await page.locator('audio').evaluate(async (audio: HTMLAudioElement) => {
      const ended = new Promise((resolve) => audio.addEventListener('ended', resolve))
      audio.muted = true
      await audio.play()
      await ended
    })
    await page.getByRole('link', { name: en.gallery.details }).click()
    await page.getByRole('slider', { name: en.result.position }).waitFor()
  })
})

test('where the system sets the colours, bars are seen, and which page is the current one', async () => {
  await promenade.visit({ forcedColors: 'active' }, async ({ page }) => {
    const styleOf = (selector: string, name: string) =>
      page.evaluate<string>(`getComputedStyle(document.querySelector('${selector}')).${name}`)
    await page.goto(`/${resultHash}`)
    await page.getByText(en.result.details).waitFor()
    assert.match(await styleOf('.bar', 'backgroundImage'), /gradient/)
    await page.goto('/#/operations')
    await page.getByRole('heading', { name: en.operations.work.title }).waitFor()
    const [current, other] = ['[href="#/operations"]', '[href="#/gallery"]'].map((each) => `nav ${each}`)
    assert.notEqual(await styleOf(current!, 'borderBottomColor'), await styleOf(other!, 'borderBottomColor'))
  })
})

/** The music, to be put in its own place again. */
function music(): CopyObjectCommandInput {
  const { bucket } = promenade
  const key = objectKey(result.music_url!)
  const source = `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`
  return { Bucket: bucket, Key: key, CopySource: source, MetadataDirective: 'REPLACE', ContentType: 'audio/wav' }
}

async function sendLetter(attributes: Record<string, string>): Promise<void> {
  const of = (StringValue: string) => ({ DataType: 'String', StringValue })
  const command = new SendMessageCommand({
    QueueUrl: promenade.stack.env.DLQ_URL,
    MessageBody: 'anything',
    MessageAttributes: {
      ...Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, of(value)])),
      failed_at: of('2099-01-01T00:00:00Z'),
    },
  })
  await promenade.sqs.send(command)
}
