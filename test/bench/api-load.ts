import { once } from 'node:events'
import autocannon from 'autocannon'

export interface LoadOrder {
  origin: string
  /** Asked for in turn. */
  paths: string[]
  headers: Record<string, string>
  connections: number
  seconds: number
  /** Any other answer is a failure of the benchmark. */
  status: number
}

export interface LoadFigures {
  requests_per_second: number
  p50_ms: number
  p99_ms: number
}

const [order] = (await once(process, 'message')) as [LoadOrder]
const { origin, paths, headers, connections, seconds, status } = order
const figures = await autocannon({
  url: origin,
  connections,
  duration: seconds,
  requests: paths.map((path) => ({ method: 'GET', path, headers })),
})
const statuses = Object.entries(figures.statusCodeStats ?? {})
if (figures.errors || statuses.some(([code]) => Number(code) !== status)) {
  throw new Error(
    `expected ${status} always, found ${JSON.stringify(Object.fromEntries(statuses))}, errors ${figures.errors}`,
  )
}
process.send!({
  requests_per_second: figures.requests.average,
  p50_ms: figures.latency.p50,
  p99_ms: figures.latency.p99,
} satisfies LoadFigures)
