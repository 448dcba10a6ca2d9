import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PodOrder } from '../cdk/scaler/runpod.ts'

interface FakePod {
  id: string
  name: string
  image: string
  status: string
  cost: number
  createdAt: string
}

type Answer = { status: number; body?: unknown; headers?: Record<string, string>; afterMs?: number } | 'silence'

/** RunPod's REST API for pods, on loopback. What `answers` holds is said first, one for each request. */
export async function startFakeRunpod({ apiKey, now }: { apiKey: string; now: () => number }) {
  const pods = new Map<string, FakePod>()
  const requests: { method: string; path: string; body?: PodOrder }[] = []
  const answers: Answer[] = []
  /** GPU and place, as `gpu@place`, that have none left. */
  const soldOut = new Set<string>()
  /** Ids of pods that cannot be ended: whoever asks for it hears nothing. */
  const stuck = new Set<string>()
  let made = 0

  const server = createServer((request, response) => {
    answer(request).then(
      (found) => found !== 'silence' && send(response, found),
      (error: Error) => send(response, problem(500, error.message)),
    )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')

  async function answer(request: IncomingMessage): Promise<Answer> {
    const { method = '', url = '' } = request
    const body = method === 'POST' ? ((await json(request)) as PodOrder) : undefined
    requests.push({ method, path: url, ...(body && { body }) })
    if (request.headers.authorization !== `Bearer ${apiKey}`) return problem(401, 'unknown key')
    const prepared = answers.shift()
    if (prepared) {
      if (prepared !== 'silence') await sleep(prepared.afterMs ?? 0)
      return prepared
    }
    if (method === 'GET' && url === '/v2/pods') {
      return { status: 200, body: { pods: [...pods.values()], pagination: { hasNextPage: false, nextCursor: null } } }
    }
    if (method === 'POST' && url === '/v2/pods' && body) return create(body)
    const id = url.replace('/v2/pods/', '')
    if (method === 'DELETE' && stuck.has(id)) return 'silence'
    if (method === 'DELETE') return pods.delete(id) ? { status: 204 } : problem(404, `no pod ${id}`)
    return problem(404, `no ${method} ${url}`)
  }

  function create({ name, image, gpu, dataCenterIds }: PodOrder): Answer {
    if (soldOut.has(`${gpu.id}@${dataCenterIds[0]}`)) return problem(400, 'There are no instances currently available')
    const id = `pod${++made}`
    const createdAt = new Date(now()).toISOString()
    const pod = { id, name, image, status: 'PROVISIONING', cost: 0.5, createdAt }
    pods.set(id, pod)
    return { status: 201, body: pod }
  }

  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    pods,
    requests,
    answers,
    soldOut,
    stuck,
    async stop(): Promise<void> {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export function problem(status: number, detail: string, headers?: Record<string, string>): Exclude<Answer, string> {
  return { status, body: { title: 'Problem', status, detail }, ...(headers && { headers }) }
}

function send(response: ServerResponse, { status, body, headers }: Exclude<Answer, string>): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(body === undefined ? undefined : JSON.stringify(body))
}
