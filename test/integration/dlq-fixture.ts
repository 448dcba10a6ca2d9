import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, afterEach, before, beforeEach } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ChangeMessageVisibilityCommand, type MessageAttributeValue, type SQSClient } from '@aws-sdk/client-sqs'
import type { FauxqsServer } from 'fauxqs'
import { createSqsClient } from '#shared/aws/clients.ts'
import { region, startEmulator } from '../../services/local/emulator.ts'

// Each file of tests that imports this has an emulator of its own, and each test queues of its own.
const entry = fileURLToPath(new URL('../../services/dlq/main.ts', import.meta.url))
export const bell = '\u001b[31m\u009b2J\u202e'

export let emulator: FauxqsServer
export let sqs: SQSClient
export let folder: string
export let audit: string
let queues = 0
export let queue: string
export let dlq: string
export let env: Record<string, string>

before(async () => {
  emulator = await startEmulator()
  sqs = createSqsClient({
    region,
    endpoint: emulator.address,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
})

after(async () => {
  sqs?.destroy()
  await emulator?.stop()
})

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'promenade-dlq-test-'))
  audit = join(folder, 'audit.jsonl')
  queue = `uploads-${++queues}`
  dlq = `${queue}-dlq`
  env = {
    AWS_REGION: region,
    AWS_ENDPOINT_URL: emulator.address,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    QUEUE_URL: emulator.createQueue(queue).queueUrl,
    DLQ_URL: emulator.createQueue(dlq).queueUrl,
    PATH: process.env.PATH!,
  }
})

afterEach(() => rm(folder, { recursive: true }))

/** As time would: what a killed process held comes back. */
export async function letVisibilityEnd(): Promise<void> {
  for (const { receiptHandle } of emulator.inspectQueue(dlq)!.messages.inflight) {
    const message = { QueueUrl: env.DLQ_URL, ReceiptHandle: receiptHandle }
    await sqs.send(new ChangeMessageVisibilityCommand({ ...message, VisibilityTimeout: 0 }))
  }
}

/** A dead letter as the consumer sends it. */
export function dieOf(code: string, key: string | undefined, more: Record<string, string | number> = {}): void {
  const values: Record<string, string | number> = {
    reason_code: code,
    reason: 'said',
    failed_at: new Date().toISOString(),
    attempts: 1,
    ...(key && { image_key: key.split('/').map(encodeURIComponent).join('/') }),
    ...more,
  }
  const messageAttributes = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      { DataType: typeof value === 'number' ? 'Number' : 'String', StringValue: String(value) },
    ]),
  )
  emulator.sendMessage(dlq, key === undefined ? 'hello' : bodyOf(key), { messageAttributes })
}

export function bodyOf(key: string): string {
  const object = { key: encodeURIComponent(key).replaceAll('%20', '+'), size: 1, eTag: 'e1', sequencer: '0A' }
  return JSON.stringify({
    Records: [
      {
        eventVersion: '2.1',
        eventSource: 'aws:s3',
        eventName: 'ObjectCreated:Put',
        eventTime: '2026-01-02T03:04:05.678Z',
        s3: { bucket: { name: 'pictures' }, object },
      },
    ],
  })
}

export function messagesIn(name: string) {
  const { ready, inflight } = emulator.inspectQueue(name)!.messages
  return [...ready, ...inflight.map(({ message }) => message)]
}

export function idsIn(name: string): string[] {
  return messagesIn(name).map(({ messageId }) => messageId)
}

export function counts(name: string) {
  const { ready, inflight } = emulator.inspectQueue(name)!.messages
  return { ready: ready.length, inflight: inflight.length }
}

export function valuesOf(attributes: Record<string, MessageAttributeValue | { StringValue?: string }>) {
  return Object.fromEntries(Object.entries(attributes).map(([name, { StringValue }]) => [name, StringValue]))
}

// biome-ignore lint/suspicious/noExplicitAny: as programs read it
export function jsonLines(lines: string): any[] {
  return lines.split('\n').flatMap((line) => (line ? JSON.parse(line) : []))
}

export function start(...args: string[]): {
  child: ChildProcess
  ended: Promise<{ status: number | null; stdout: string; stderr: string }>
} {
  const child = spawn(process.execPath, [entry, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 })
  const output = Promise.all([text(child.stdout).catch(() => ''), text(child.stderr), once(child, 'close')])
  return { child, ended: output.then(([stdout, stderr]) => ({ status: child.exitCode, stdout, stderr })) }
}

export async function run(...args: string[]) {
  const outcome = await start(...args).ended
  assert.doesNotMatch(outcome.stderr, /\n {4}at /)
  return outcome
}
