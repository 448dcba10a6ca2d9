import { createHash } from 'node:crypto'
import { GetObjectCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3'
import { DeleteMessageCommand, ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs'
import { musicKey } from '#shared/contract/key.ts'
import type { Database } from '#shared/db/client.ts'
import { artAnalysis, jobs } from '#shared/db/schema.ts'
import type { Version } from './uploader.ts'

export interface Findings {
  succeeded: number
  /** Jobs by code. */
  failed: Record<string, number>
  duplicates: number
  lost: number
  /** One line each, with the rows concerned. */
  violations: string[]
}

interface Letter {
  code: string | undefined
  key: string | undefined
}

/** Compares what the database, the bucket and the dead-letter queue hold, once all is at rest, with what was uploaded. */
export async function checkInvariants({
  versions,
  database,
  s3,
  sqs,
  bucket,
  dlqUrl,
}: {
  versions: ReadonlyMap<string, Version>
  database: Database
  s3: S3Client
  sqs: SQSClient
  bucket: string
  dlqUrl: string
}): Promise<Findings> {
  const findings: Findings = { succeeded: 0, failed: {}, duplicates: 0, lost: 0, violations: [] }
  const violate = (what: string, ...rows: unknown[]) =>
    findings.violations.push([what, ...rows.map((row) => JSON.stringify(row))].join('\n    '))

  const jobRows = new Map((await database.run((db) => db.select().from(jobs))).map((row) => [row.id, row]))
  const { jobId, musicBytes, musicSha256 } = artAnalysis
  const records = await database.run((db) => db.select({ jobId, musicBytes, musicSha256 }).from(artAnalysis))
  const recordsOf = Map.groupBy(records, (row) => row.jobId)
  const letters = await takeDeadLetters(sqs, dlqUrl)
  const stored = new Set(await listMusic(s3, bucket))

  for (const { id, key, etag, expected } of versions.values()) {
    const job = jobRows.get(id)
    if (!job || !['succeeded', 'failed'].includes(job.state)) {
      findings.lost++
      violate(`lost: ${key} (${etag}) is ${job?.state ?? 'without a job'}`, job)
      continue
    }
    const outcome = job.state === 'succeeded' ? 'succeeded' : (job.errorCode ?? 'nothing')
    if (!(expected as readonly string[]).includes(outcome))
      violate(`${key}: expected ${expected}, found ${outcome}`, job)
    const own = recordsOf.get(id) ?? []
    const itsLetters = letters.filter((letter) => letter.key === key)
    if (job.state === 'failed') {
      findings.failed[outcome] = (findings.failed[outcome] ?? 0) + 1
      if (own.length) violate(`${key} has failed and has a record`, job, ...own)
      if (!itsLetters.some(({ code }) => code === outcome)) violate(`${key} has no dead letter of ${outcome}`, job)
      continue
    }
    findings.succeeded++
    findings.duplicates += Math.max(0, own.length - 1)
    const [record] = own
    if (!record || own.length > 1) violate(`${key} has ${own.length} records`, job, ...own)
    if (!record) continue
    const name = musicKey(key, id)
    if (!stored.has(name)) {
      violate(`${key} has a record and no WAV`, job, record)
      continue
    }
    const wav = await readObject(s3, bucket, name)
    const sha256 = createHash('sha256').update(wav).digest('hex')
    if (wav.length !== record.musicBytes || sha256 !== record.musicSha256) {
      violate(`the WAV of ${key} has ${wav.length} bytes, ${sha256}, and not those of its record`, job, record)
    }
  }

  for (const job of jobRows.values()) {
    if (!versions.has(job.id)) violate('a job of something that was never uploaded', job)
  }
  for (const name of stored) {
    const job = jobRows.get(name.match(/\/([0-9a-f]{32})\.wav$/)?.[1] ?? '')
    // One that was stored before the picture went stays, without a record.
    const isLeftOver = job?.state === 'failed' && job.errorCode === 'IMAGE_NOT_FOUND'
    if (job && name === musicKey(job.imageKey, job.id) && (job.state === 'succeeded' || isLeftOver)) continue
    findings.duplicates++
    violate(`${name} is one WAV too many`, job)
  }
  const failures = new Set(
    [...jobRows.values()].flatMap((job) => (job.state === 'failed' ? `${job.errorCode} ${job.imageKey}` : [])),
  )
  for (const { code, key } of letters) {
    if (!failures.has(`${code} ${key}`)) violate(`a dead letter of nothing that failed: ${code} ${key}`)
  }
  return findings
}

async function listMusic(s3: S3Client, bucket: string): Promise<string[]> {
  const names: string[] = []
  let token: string | undefined
  do {
    const page = await s3.send(
      new ListObjectsV2Command({ Bucket: bucket, Prefix: 'generated/', ...(token && { ContinuationToken: token }) }),
    )
    names.push(...(page.Contents ?? []).map(({ Key }) => Key!))
    token = page.NextContinuationToken
  } while (token)
  return names
}

async function readObject(s3: S3Client, bucket: string, key: string): Promise<Uint8Array> {
  const { Body: body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
  return await body!.transformToByteArray()
}

/** Those that SQS itself has moved have no code. */
async function takeDeadLetters(sqs: SQSClient, dlqUrl: string): Promise<Letter[]> {
  const letters: Letter[] = []
  for (;;) {
    const { Messages: messages } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: dlqUrl, MaxNumberOfMessages: 10, MessageAttributeNames: ['All'] }),
    )
    if (!messages?.length) return letters
    for (const { MessageAttributes: attributes, ReceiptHandle } of messages) {
      const key = attributes?.image_key?.StringValue
      letters.push({ code: attributes?.reason_code?.StringValue, key: key && decodeURIComponent(key) })
      await sqs.send(new DeleteMessageCommand({ QueueUrl: dlqUrl, ReceiptHandle }))
    }
  }
}
