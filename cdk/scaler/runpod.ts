import { setTimeout as sleep } from 'node:timers/promises'
import Type, { type Static } from 'typebox'
import Value from 'typebox/value'

/** Of RunPod's pods, what is used of its REST API, version 2. */
const ListedPod = Type.Object({
  id: Type.String(),
  name: Type.String(),
  /** PROVISIONING, STARTING, RUNNING, EXITED, ERROR or TERMINATED; any other counts as not running. */
  status: Type.String(),
  cost: Type.Number(),
  createdAt: Type.String(),
})
const PodList = Type.Object({
  pods: Type.Array(ListedPod),
  pagination: Type.Optional(
    Type.Object({ hasNextPage: Type.Boolean(), nextCursor: Type.Union([Type.String(), Type.Null()]) }),
  ),
})
const Fault = Type.Object({ detail: Type.String() })

type ListedPod = Static<typeof ListedPod>

export interface Pod extends Pick<ListedPod, 'id' | 'name' | 'status'> {
  usdPerHour: number
  /** Milliseconds since 1970. */
  createdAt: number
}

export interface PodOrder {
  name: string
  image: string
  disk: number
  env: Record<string, string>
  ports: string[]
  registry?: string
  cloud: string
  gpu: { id: string; count: number; minCudaVersion: string }
  dataCenterIds: string[]
  mounts: { network: { volumeId: string; path: string }[] }
}

/** What RunPod answered, or that it did not; never with the key. */
export class RunpodError extends Error {
  override name = 'RunpodError'
  /** HTTP status; absent when there was no answer. */
  readonly status: number | undefined
  /** After which RunPod wants to be asked again. */
  readonly waitMs: number | undefined

  constructor(message: string, { status, waitMs }: { status?: number; waitMs?: number | undefined } = {}) {
    super(message)
    this.status = status
    this.waitMs = waitMs
  }
}

export type Runpod = ReturnType<typeof createRunpod>

const maxAnswerBytes = 8 * 2 ** 20
const maxDetailLength = 300
const maxWaitMs = 5_000
const maxAttempts = 3

/**
 * A client of RunPod's REST API for pods. Reading and ending are tried `maxAttempts` times, each for at most `timeoutMs`; making,
 * for which RunPod looks for a place, only once, for `orderTimeoutMs`: whether one that got no answer has made a pod is seen
 * in a later list. Throws RunpodError, or the reason of the signal.
 */
export function createRunpod({
  apiKey,
  endpoint,
  timeoutMs = 10_000,
  orderTimeoutMs = 30_000,
  backoffMs = 500,
}: {
  apiKey: string
  endpoint: string
  timeoutMs?: number
  orderTimeoutMs?: number
  backoffMs?: number
}) {
  async function once(method: string, path: string, signal: AbortSignal, body?: unknown): Promise<unknown> {
    const what = `${method} ${path}`
    const limitMs = method === 'POST' ? orderTimeoutMs : timeoutMs
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(limitMs)])
    try {
      const response = await fetch(new URL(path, endpoint), {
        method,
        headers: {
          authorization: `Bearer ${apiKey}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        // The key goes nowhere else.
        redirect: 'error',
        signal: bounded,
      })
      const answer = await readBounded(response)
      if (response.ok) return answer === '' ? undefined : JSON.parse(answer)
      throw refusal(what, response, answer)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof RunpodError) throw error
      throw new RunpodError(`${what}: ${bounded.aborted ? `no answer within ${limitMs} ms` : reasonOf(error)}`)
    }
  }

  function refusal(what: string, { status, headers }: Response, answer: string): RunpodError {
    const detail = detailOf(answer).replaceAll(apiKey, '***').slice(0, maxDetailLength)
    const seconds = Number(headers.get('retry-after'))
    return new RunpodError(`${what}: ${status} ${detail}`, {
      status,
      waitMs: seconds > 0 ? seconds * 1_000 : undefined,
    })
  }

  async function repeatedly(method: string, path: string, signal: AbortSignal): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await once(method, path, signal)
      } catch (error) {
        if (attempt >= maxAttempts || !(error instanceof RunpodError) || !isPassing(error)) throw error
        const waitMs = error.waitMs ?? backoffMs * 2 ** (attempt - 1)
        await sleep(Math.min(maxWaitMs, waitMs), undefined, { signal })
      }
    }
  }

  return {
    /** Every pod of the account, be it of a stage of ours or not. */
    async list(signal: AbortSignal): Promise<Pod[]> {
      const pods: Pod[] = []
      for (let path = '/v2/pods'; ; ) {
        const answer = await repeatedly('GET', path, signal)
        if (!Value.Check(PodList, answer)) throw new RunpodError('GET /v2/pods: the answer is no list of pods')
        pods.push(...answer.pods.map(toPod))
        if (!answer.pagination?.hasNextPage) return pods
        const { nextCursor } = answer.pagination
        if (!nextCursor) throw new RunpodError('GET /v2/pods: the answer does not say where its next page is')
        path = `/v2/pods?cursor=${encodeURIComponent(nextCursor)}`
      }
    },

    async create(order: PodOrder, signal: AbortSignal): Promise<Pod> {
      const answer = await once('POST', '/v2/pods', signal, order)
      if (!Value.Check(ListedPod, answer)) throw new RunpodError('POST /v2/pods: the answer is no pod')
      return toPod(answer)
    },

    /** For good; one that is gone already is as wanted. */
    async terminate(id: string, signal: AbortSignal): Promise<void> {
      try {
        await repeatedly('DELETE', `/v2/pods/${encodeURIComponent(id)}`, signal)
      } catch (error) {
        if (!(error instanceof RunpodError) || error.status !== 404) throw error
      }
    },
  }
}

function toPod({ id, name, status, cost, createdAt }: ListedPod): Pod {
  const time = Date.parse(createdAt)
  if (Number.isNaN(time)) throw new RunpodError(`pod ${id}: "${createdAt.slice(0, 40)}" is no time`)
  return { id, name, status, usdPerHour: cost, createdAt: time }
}

function isPassing({ status }: RunpodError): boolean {
  return status === undefined || status === 429 || status >= 500
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > maxAnswerBytes) throw new Error(`the answer has more than ${maxAnswerBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function detailOf(answer: string): string {
  try {
    const problem: unknown = JSON.parse(answer)
    if (Value.Check(Fault, problem)) return problem.detail
  } catch {
    // Not JSON: a proxy's page, of which the beginning says enough.
  }
  return answer
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
