import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json, text } from 'node:stream/consumers'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const entry = fileURLToPath(new URL('../../services/dlq/main.ts', import.meta.url))

interface Task {
  Status: string
  StartedTimestamp: number
  TaskHandle?: string
  ApproximateNumberOfMessagesMoved: number
  ApproximateNumberOfMessagesToMove: number
  FailureReason?: string
}

const earlier = { Status: 'COMPLETED', StartedTimestamp: 1, ...counts(5) }
const running = { Status: 'RUNNING', StartedTimestamp: 2, TaskHandle: 'task-1', ...counts(3) }

test('a move task is started with both queues and the rate, and followed until it has ended', async () => {
  const { outcome, requests, trail } = await move({
    // The list is behind at first.
    lists: [[earlier], [earlier], [running], [{ Status: 'COMPLETED', StartedTimestamp: 2, ...counts(7) }]],
    args: ['--rate', '50'],
  })
  assert.equal(outcome.status, 0, outcome.stderr)
  assert.match(outcome.stderr, /the cap is not applied/)
  assert.match(outcome.stderr, /^moved about 3 of 7$/m)
  assert.match(outcome.stderr, /^completed: about 7 messages moved$/m)
  assert.deepEqual(requests.find(({ action }) => action === 'StartMessageMoveTask')?.input, {
    SourceArn: 'arn:dlq',
    DestinationArn: 'arn:queue',
    MaxNumberOfMessagesPerSecond: 50,
  })
  assert.deepEqual(
    trail.map(({ action, task_handle: handle, messages }) => [action, handle, messages]),
    [
      ['move', 'task-1', undefined],
      ['moved', undefined, 7],
    ],
  )
})

test('a dry run starts nothing', async () => {
  const { outcome, requests } = await move({ lists: [], args: [], yes: false })
  assert.equal(outcome.status, 0)
  assert.match(outcome.stderr, /dry run: about 7 messages would be moved, 10 a second/)
  assert.deepEqual(new Set(requests.map(({ action }) => action)), new Set(['GetQueueAttributes']))
})

test('a task that fails is told with its reason', async () => {
  const failed = { Status: 'FAILED', StartedTimestamp: 2, FailureReason: 'AccessDenied', ...counts(0) }
  const { outcome } = await move({ lists: [[], [failed]] })
  assert.equal(outcome.status, 1)
  assert.match(outcome.stderr, /failed: about 0 messages moved\nAccessDenied\n$/)
})

test('an interruption cancels the task and waits for its end', async () => {
  const { outcome, requests } = await move({
    lists: [[], [running], [{ Status: 'CANCELLED', StartedTimestamp: 2, ...counts(4) }]],
    interruptAt: 2,
  })
  assert.equal(outcome.status, 1)
  assert.deepEqual(requests.find(({ action }) => action === 'CancelMessageMoveTask')?.input, { TaskHandle: 'task-1' })
  assert.match(outcome.stderr, /cancelled: about 4 messages moved/)
})

test('a server without move tasks is told, with what to do instead', async () => {
  for (const type of ['com.amazonaws.sqs#InvalidAction', 'com.amazon.coral.service#UnknownOperationException']) {
    const { outcome, trail } = await move({ lists: [], fault: { __type: type, message: 'Unknown action' } })
    assert.equal(outcome.status, 1)
    assert.match(outcome.stderr, /this server has no move task; without --native, replay --all does the same/)
    assert.deepEqual(trail, [])
  }
  const { outcome } = await move({
    lists: [],
    fault: { __type: 'com.amazonaws.sqs#UnsupportedOperation', message: 'There is already a task running.' },
  })
  assert.match(outcome.stderr, /There is already a task running/)
})

function counts(moved: number) {
  return { ApproximateNumberOfMessagesMoved: moved, ApproximateNumberOfMessagesToMove: 7 }
}

/** `lists`: what ListMessageMoveTasks answers, call by call, the last one from then on. */
async function move({
  lists,
  args = [],
  yes = true,
  fault,
  interruptAt,
}: {
  lists: Task[][]
  args?: string[]
  yes?: boolean
  fault?: { __type: string; message: string }
  /** After so many lists. */
  interruptAt?: number
}) {
  const requests: { action: string; input: Record<string, unknown> }[] = []
  const folder = await mkdtemp(join(tmpdir(), 'promenade-dlq-test-'))
  const audit = join(folder, 'audit.jsonl')
  let listed = 0
  const answers: Record<string, (input: Record<string, unknown>) => unknown> = {
    GetQueueAttributes: ({ QueueUrl: url }) => ({
      Attributes: {
        QueueArn: `arn:${String(url).split('/').at(-1)}`,
        ApproximateNumberOfMessages: '4',
        ApproximateNumberOfMessagesNotVisible: '3',
      },
    }),
    ListMessageMoveTasks: () => {
      listed++
      if (listed === interruptAt) child.kill('SIGINT')
      return { Results: lists[Math.min(listed, lists.length) - 1] ?? [] }
    },
    StartMessageMoveTask: () => ({ TaskHandle: 'task-1' }),
    CancelMessageMoveTask: () => ({ ApproximateNumberOfMessagesMoved: 4 }),
  }
  const server = createServer(async (request, response) => {
    const action = String(request.headers['x-amz-target']).replace('AmazonSQS.', '')
    const input = (await json(request)) as Record<string, unknown>
    requests.push({ action, input })
    const refused = fault && action !== 'GetQueueAttributes'
    const answer = refused ? fault : answers[action]!(input)
    response
      .writeHead(refused ? 400 : 200, { 'content-type': 'application/x-amz-json-1.0' })
      .end(JSON.stringify(answer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const options = ['--all', '--native', '--audit', audit, ...(yes ? ['--yes'] : []), ...args]
  const child = spawn(process.execPath, [entry, 'replay', ...options], {
    env: {
      AWS_REGION: 'us-east-1',
      AWS_ENDPOINT_URL: endpoint,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      QUEUE_URL: `${endpoint}/0/queue`,
      DLQ_URL: `${endpoint}/0/dlq`,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  try {
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    assert.doesNotMatch(stderr, /\n {4}at /)
    const lines = await readFile(audit, 'utf8').catch(() => '')
    const trail = lines.split('\n').flatMap((line) => (line ? JSON.parse(line) : []))
    return { outcome: { status: child.exitCode, stdout, stderr }, requests, trail }
  } finally {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
    await rm(folder, { recursive: true })
  }
}
