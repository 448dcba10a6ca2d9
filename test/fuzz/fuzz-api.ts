import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { type ErrorCode, errorCodes } from '#shared/contract/error-code.ts'
import { Problem } from '#shared/contract/result.ts'
import { openDatabase } from '#shared/db/client.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { startApi } from '../../services/local/processes.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { analysisOf, uploadOf } from '../job.ts'
import { type Described, faultsOf, type JsonSchema, operationsOf } from '../open-api.ts'
import { type RequestCase, requestMutator } from './mutate-request.ts'
import type { Findings } from './outcome.ts'
import { type RawResponse, sendRaw } from './raw-http.ts'

const apiKey = 'fuzz-key-that-must-not-be-told'
const awsSecret = 'fuzz-secret-that-must-not-be-told'
const settings = {
  HOST: '127.0.0.1',
  PORT: '0',
  API_KEYS: `${apiKey}:admin`,
  RATE_LIMIT_PER_MINUTE: '0',
  AWS_SECRET_ACCESS_KEY: awsSecret,
}
/** Answered wherever they are asked for, and described for all routes together. */
const everywhere = new Set([400, 401, 403, 404, 405, 408, 413, 415, 431])
/** Where there are as many, the rest tells nothing more. */
const mostFaults = 100
const traces = /\bat [^\n]*\.[jt]s\b|node_modules|node:internal/
const keys = {
  succeeded: 'uploads/fuzz/succeeded.jpg',
  failed: 'uploads/fuzz/고양이 1+1 100%.jpg',
  uploaded: 'uploads/fuzz/uploaded.jpg',
  unknown: 'uploads/fuzz/unknown.jpg',
}

/**
 * Sends requests made from the API's own description to the API on the local stack: each must be answered as the
 * description says, without a stack trace or a secret, and the API must be as good as before in the end.
 */
export async function fuzzApi(
  { seed, numbers }: { seed: number; numbers: number[] },
  findings: Findings,
): Promise<void> {
  const stack = await startStack()
  const canary = await startCanary()
  try {
    await fillIn(stack)
    const api = await startApi({
      env: { ...stack.env, ...settings },
    })
    try {
      const url = api.ready[1]!
      const operations = operationsOf((await (await fetch(`${url}/openapi.json`)).json()) as object)
      const make = requestMutator(seed, {
        operations,
        bucket: stack.env.BUCKET!,
        region: stack.env.AWS_REGION!,
        keys: Object.values(keys),
        settledKeys: [keys.succeeded, keys.failed, keys.unknown],
        authorization: `Bearer ${apiKey}`,
        canary: canary.port,
      })
      const secrets = [apiKey, awsSecret, stack.env.DATABASE_URL!]
      const check = createCheck(operations, secrets)
      const port = Number(new URL(url).port)
      for (const number of numbers) {
        const request = make(number)
        const begun = performance.now()
        const answer = await sendRaw(port, withLength(request)).catch((error: Error) => error)
        const milliseconds = performance.now() - begun
        const faults = answer instanceof Error ? [answer.message] : check(request, answer)
        if (canary.asked() > 0) faults.push('something asked at the address that is not ours')
        const fault = faults.length > 0 && { fault: `${faults.join('; ')}\n  ${summaryOf(request, answer)}` }
        findings.add(request, { result: codeOf(answer) ?? 'read', milliseconds, ...(fault && fault) })
        if (findings.faults.length > mostFaults) break
      }
      await isAsBefore(url, findings)
      const log = await readFile(api.logFile, 'utf8')
      for (const secret of secrets) {
        if (log.includes(secret)) findings.faults.push('a secret is in the log of the API')
      }
    } finally {
      await api.close()
    }
  } finally {
    await canary.close()
    await stack.close()
  }
}

/** What is wrong with an answer. */
function createCheck(operations: Described[], secrets: string[]) {
  return (request: RequestCase, answer: RawResponse | undefined): string[] => {
    if (!answer) return request.isCut ? [] : ['closed without an answer']
    const { status, headers, body, text } = answer
    const faults: string[] = []
    if (traces.test(text)) faults.push('a stack trace')
    for (const secret of secrets) if (text.includes(secret)) faults.push('a secret')
    if (headers.has('x-injected')) faults.push('a header that was injected')
    const operation = reached(operations, request)
    const described = operation?.responses[status]
    if (!described && (status < 400 ? operation : !everywhere.has(status)))
      faults.push(`status ${status}, which is not described`)
    // All that the API stands on is there.
    if (/^(INTERNAL_ERROR|\w+_UNAVAILABLE)$/.test(codeOf(answer) ?? '')) faults.push('a mistake of ours')
    if (request.method === 'HEAD' || status === 204 || status === 304) return faults
    const type = (headers.get('content-type') ?? '').split(';')[0]!
    if (status >= 400) {
      if (type !== 'application/problem+json') return [...faults, `an error of type ${type}`]
      faults.push(...faultsOfJson(Problem as unknown as JsonSchema, body))
      const code = codeOf(answer)
      if (!code || !(code in errorCodes)) faults.push(`code ${code}`)
    }
    const media = described?.content?.[type]
    if (described?.content && !media) faults.push(`an answer of type ${type}`)
    if (media && type.endsWith('json')) faults.push(...faultsOfJson(media.schema, body))
    if (type === 'text/event-stream') {
      const json = operation!.responses[200]!.content!['application/json']!
      for (const [, data] of body.matchAll(/^data: (.*)\n\n/gm)) faults.push(...faultsOfJson(json.schema, data!))
    }
    return faults
  }
}

/** The operation that a request comes to, if it does. */
function reached(operations: Described[], { method, target }: RequestCase): Described | undefined {
  const [path] = target.split('?')
  const asked = method === 'HEAD' ? 'GET' : method
  return operations.find((each) => {
    if (each.method !== asked) return false
    const key = each.path.indexOf('{key}')
    return key < 0 ? each.path === path : path!.startsWith(each.path.slice(0, key)) && path!.length > key
  })
}

function faultsOfJson(schema: JsonSchema, body: string): string[] {
  try {
    return faultsOf(schema, JSON.parse(body))
  } catch (error) {
    return [`not JSON: ${(error as Error).message}`]
  }
}

function codeOf(answer: RawResponse | undefined | Error): ErrorCode | undefined {
  if (!answer || answer instanceof Error) return undefined
  return /"code":"([A-Z_]+)"/.exec(answer.status < 400 ? '' : answer.body)?.[1] as ErrorCode | undefined
}

function withLength(request: RequestCase): RequestCase {
  const { headers, body } = request
  const isGiven = headers.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name))
  if (!body || isGiven) return request
  return { ...request, headers: [...headers, ['Content-Length', String(body.length)]] }
}

function summaryOf({ method, target, headers, body }: RequestCase, answer: RawResponse | Error | undefined): string {
  const short = (text: string) => JSON.stringify(text.length > 300 ? `${text.slice(0, 300)}…(${text.length})` : text)
  const given = headers.filter(([name]) => !/^(host|connection|authorization)$/i.test(name) || headers.length < 3)
  const said = answer instanceof Error ? '' : `\n  ${short(answer?.text ?? 'nothing')}`
  return `${method} ${short(target)} ${short(JSON.stringify(given))} ${short(body?.toString('latin1') ?? '')}${said}`
}

/** One picture of each kind that a request can be about. */
async function fillIn({ s3, env }: Stack): Promise<void> {
  const database = openDatabase({ url: env.DATABASE_URL!, tls: 'off' })
  const jobs = createJobs({ database })
  const bucket = env.BUCKET!
  try {
    for (const key of [keys.succeeded, keys.failed]) {
      const { ETag: etag } = await s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: 'picture' }))
      const version = etag!.replaceAll('"', '')
      const upload = uploadOf(key, { bucket, version, etag: version })
      const lease = { id: await jobs.receive(upload), token: 'fuzz' }
      await jobs.claim(lease.id, { token: lease.token, leaseSeconds: 60 })
      if (key === keys.succeeded) await jobs.succeed({ ...lease, analysis: analysisOf(upload) })
      else await jobs.fail({ ...lease, code: 'IMAGE_CORRUPT', message: 'so it is', retryable: false })
    }
    await s3.send(new PutObjectCommand({ Bucket: bucket, Key: keys.uploaded, Body: 'picture' }))
  } finally {
    await database.close()
  }
}

async function isAsBefore(url: string, findings: Findings): Promise<void> {
  const headers = { authorization: `Bearer ${apiKey}` }
  for (const path of ['/healthz', '/readyz', `/v1/results/${keys.succeeded}`]) {
    const { status } = await fetch(url + path, { headers })
    if (status !== 200) findings.faults.push(`in the end ${path} is answered ${status}`)
  }
}

async function startCanary() {
  let asked = 0
  const server = createServer((socket) => {
    asked++
    socket.destroy()
  })
  server.listen(0, '::')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    asked: () => asked,
    close: async () => void server.close(),
  }
}
