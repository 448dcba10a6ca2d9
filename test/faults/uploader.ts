import { setTimeout as sleep } from 'node:timers/promises'
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { jobId } from '#shared/contract/key.ts'
import { formEncodeKey } from '#shared/contract/s3-notification.ts'
import { createSequencer } from '../../services/local/bridge.ts'
import type { Stack } from '../../services/local/stack.ts'
import type { Picture, PlannedUpload } from './uploads.ts'

/** One image version, and how its job may end. */
export interface Version {
  id: string
  key: string
  etag: string
  expected: readonly ('succeeded' | ErrorCode)[]
}

/** Puts pictures into the bucket, past all partitions; events come from the stack, and some again from here. */
export function createUploader({ stack, sqs }: { stack: Stack; sqs: SQSClient }) {
  const bucket = stack.env.BUCKET!
  const versions = new Map<string, Version>()
  const nextSequencer = createSequencer()
  let copies = 0

  async function put(key: string, { body, expected }: Picture, mayGo: boolean): Promise<Version> {
    const { ETag } = await stack.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }))
    const etag = ETag!.replaceAll('"', '')
    const id = jobId({ bucket, key, version: etag })
    const version = { id, key, etag, expected: mayGo ? ([expected, 'IMAGE_NOT_FOUND'] as const) : [expected] }
    versions.set(id, version)
    return version
  }

  async function announce({ key, etag }: Version, sequencer: string, eventTime: string): Promise<void> {
    copies++
    const record = {
      eventVersion: '2.1',
      eventSource: 'aws:s3',
      eventName: 'ObjectCreated:Put',
      eventTime,
      s3: { bucket: { name: bucket }, object: { key: formEncodeKey(key), eTag: etag, sequencer } },
    }
    const body = JSON.stringify({ Records: [record] })
    await sqs.send(new SendMessageCommand({ QueueUrl: stack.env.QUEUE_URL, MessageBody: body }))
  }

  return {
    versions,
    copies: () => copies,

    async upload({ key, picture, later, copies: delays }: PlannedUpload): Promise<void> {
      const sequencer = nextSequencer(Date.now())
      const eventTime = new Date().toISOString()
      const first = await put(key, picture, later !== undefined)
      const again = () => announce(first, sequencer, eventTime)
      await Promise.all([
        befall(),
        ...delays.map(async (seconds) => {
          await sleep(seconds * 1000)
          await again()
        }),
      ])

      /** The event of what is no more comes last, for the stack announces what it finds. */
      async function befall(): Promise<void> {
        if (!later) return
        await sleep(later.after * 1000)
        if (later.put) await put(key, later.put, false)
        else await stack.s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }))
        await again()
      }
    },
  }
}

export type Uploader = ReturnType<typeof createUploader>
