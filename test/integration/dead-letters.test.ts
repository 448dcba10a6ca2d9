import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { SendMessageCommand } from '@aws-sdk/client-sqs'
import Value from 'typebox/value'
import { createQueue, type Queue } from '#shared/aws/queue.ts'
import { DeadLetters, Replays } from '../../services/api/routes/dead-letters.ts'
import { badPictures } from '../picture.ts'
import { until } from '../until.ts'
import { startWholeStack, type WholeStack } from '../whole-stack.ts'

const dlqMain = fileURLToPath(new URL('../../services/dlq/main.ts', import.meta.url))

let whole: WholeStack
/** The dead-letter queue, to count. */
let dlq: Queue

before(async () => {
  whole = await startWholeStack()
  const { DLQ_URL: url } = whole.stack.env
  dlq = createQueue({ sqs: whole.sqs, queueUrl: url!, dlqUrl: url! })
})

after(() => whole?.close())

test('a bad picture is seen as the command line shows it, left by a dry run, replayed, and counted when it fails again', async () => {
  const key = 'uploads/letters/한글 1+1.jpg'
  await whole.upload(key, await badPictures['truncated.jpg']!.make())
  await whole.withConsumer({}, whole.drained)

  const query = `?prefix=${encodeURIComponent('uploads/letters/')}`
  const listed = await list(query)
  const [letter] = listed.letters
  assert.deepEqual([listed.letters.length, listed.more], [1, false])
  assert.deepEqual([letter.reason_code, letter.image_keys, letter.replay_count], ['IMAGE_CORRUPT', [key], 0])
  const { age_seconds: _then, ...shown } = letter
  const { age_seconds: _now, ...printed } = JSON.parse(await printList())
  assert.deepEqual(shown, printed)
  assert.deepEqual((await list('?code=IMAGE_EMPTY')).letters, [])

  const named = { message_ids: [letter.message_id] }
  assert.deepEqual(await outcomesOf(named), [[letter.message_id, 'would_be_replayed']])
  assert.deepEqual(await depths(), { dead: 1, waiting: 0 })
  assert.deepEqual(await outcomesOf({ ...named, dry_run: false }), [[letter.message_id, 'replayed']])
  assert.deepEqual(await depths(), { dead: 0, waiting: 1 })
  assert.deepEqual(await outcomesOf({ ...named, dry_run: false }), [])

  await whole.withConsumer({}, whole.drained)
  const [again] = (await list(query)).letters
  assert.deepEqual([again.reason_code, again.image_keys, again.replay_count], ['IMAGE_CORRUPT', [key], 1])
  assert.notEqual(again.message_id, letter.message_id)
  await whole.deadLetters()
})

test('a client that goes away in the middle leaves everything to the next', async () => {
  const bodies = await send(25)
  const gone = new AbortController()
  const asked = fetch(`${whole.address}/v1/dead-letters`, { signal: gone.signal })
  await until(async () => (await dlq.depth()).inFlight === 25)
  gone.abort()
  await assert.rejects(asked, { name: 'AbortError' })
  await until(async () => (await dlq.depth()).visible === 25)
  assert.equal((await list('')).letters.length, bodies.length)
  await whole.deadLetters()
})

test('calls at the same time see the same letters, and replay each of them once', async () => {
  await send(25)
  const lists = await Promise.all([list(''), list('?limit=100'), list('?code=none')])
  for (const { letters } of lists) assert.equal(letters.length, 25)
  const replay = { code: ['none'], dry_run: false }
  const outcomes = await Promise.all([outcomesOf(replay), outcomesOf(replay)])
  assert.deepEqual(outcomes.map(({ length }) => length).toSorted(), [0, 25])
  assert.deepEqual(await depths(), { dead: 0, waiting: 25 })
})

// biome-ignore lint/suspicious/noExplicitAny: as programs read it
async function list(query: string): Promise<any> {
  const response = await fetch(`${whole.address}/v1/dead-letters${query}`)
  const body = await response.json()
  assert.equal(response.status, 200, JSON.stringify(body))
  assert.deepEqual(Value.Errors(DeadLetters, body), [])
  return body
}

/** Of each letter: its id, and what has become of it. */
async function outcomesOf(wanted: object): Promise<string[][]> {
  const { status, body } = await whole.post('/v1/replays', wanted)
  assert.equal(status, 200, JSON.stringify(body))
  assert.deepEqual(Value.Errors(Replays, body), [])
  return body.letters.map((letter: Record<string, string>) => [letter.message_id, letter.outcome])
}

async function depths() {
  const [{ visible: dead, inFlight }, { visible: waiting }] = [await dlq.depth(), await whole.queue.depth()]
  assert.equal(inFlight, 0)
  return { dead, waiting }
}

async function send(letters: number): Promise<string[]> {
  const bodies = Array.from({ length: letters }, (_, index) => `letter ${index}`)
  for (const MessageBody of bodies) {
    await whole.sqs.send(new SendMessageCommand({ QueueUrl: whole.stack.env.DLQ_URL, MessageBody }))
  }
  return bodies
}

async function printList(): Promise<string> {
  const env = { ...whole.stack.env, PATH: process.env.PATH }
  const child = spawn(process.execPath, [dlqMain, 'list', '--json'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const [stdout] = await Promise.all([text(child.stdout), once(child, 'exit')])
  return stdout
}
