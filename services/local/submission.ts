import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import type { Result } from '#shared/contract/result.ts'
import type { Picture } from './picture.ts'
import type { Pipeline } from './pipeline.ts'

const pollMilliseconds = 100
const requestMilliseconds = 15_000

interface SubmissionOptions {
  pipeline: Pick<Pipeline, 's3' | 'env' | 'apiUrl'>
  picture: Picture
  timeoutSeconds: number
  signal: AbortSignal
  onProgress(result: Result): void
}

/**
 * Uploads a picture as an app would and asks the API until its job has ended, also through an outage. When the time is
 * up, the answer is the last one with the error TIMEOUT.
 */
export async function submitPicture(options: SubmissionOptions): Promise<Result> {
  const { pipeline, picture, timeoutSeconds, signal, onProgress } = options
  const deadline = Date.now() + timeoutSeconds * 1000
  const body = await readFile(picture.path)
  await pipeline.s3.send(new PutObjectCommand({ Bucket: pipeline.env.BUCKET, Key: picture.key, Body: body }), {
    abortSignal: signal,
  })
  const address = `${pipeline.apiUrl}/v1/results/${picture.key.split('/').map(encodeURIComponent).join('/')}`
  for (let result: Result = { key: picture.key, status: 'queued' }; ; ) {
    result = (await askFor(address, signal)) ?? result
    onProgress(result)
    if (result.status !== 'queued' && result.status !== 'processing') return result
    if (Date.now() > deadline) {
      const message = `not finished after ${timeoutSeconds} s (--timeout)`
      return { ...result, error: { code: 'TIMEOUT', message, retryable: true } }
    }
    await sleep(pollMilliseconds, undefined, { signal })
  }
}

/** The bytes of the WAV, from where the result says it is. */
export async function fetchMusic({ s3, env }: Pick<Pipeline, 's3' | 'env'>, musicUrl: string): Promise<Uint8Array> {
  const key = decodeURIComponent(new URL(musicUrl).pathname.slice(1))
  const { Body: body } = await s3.send(new GetObjectCommand({ Bucket: env.BUCKET, Key: key }))
  return await body!.transformToByteArray()
}

/** Undefined when the API, or what it needs, is away. */
async function askFor(address: string, signal: AbortSignal): Promise<Result | undefined> {
  const request = { signal: AbortSignal.any([signal, AbortSignal.timeout(requestMilliseconds)]) }
  const response = await fetch(address, request).catch(() => {
    signal.throwIfAborted()
    return undefined
  })
  if (!response || response.status === 503) return undefined
  if (!response.ok) throw new Error(`GET ${address} was answered ${response.status}: ${await response.text()}`)
  return (await response.json()) as Result
}
