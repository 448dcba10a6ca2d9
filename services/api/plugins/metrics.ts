import type { FastifyInstance } from 'fastify'
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Observe } from './traffic.ts'

/** Seconds; the longest that a client may wait is 60. */
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60]

/** What Prometheus is told of the API. Labels are routes as they are written here, never keys. */
export function createMetrics(counts: { inFlight(): number; waiting(): number }) {
  const registry = new Registry()
  const registers = [registry]
  const duration = new Histogram({
    name: 'promenade_api_request_duration_seconds',
    help: 'From the head of a request to the end of its answer; 499 where the client went away before',
    labelNames: ['method', 'route', 'status'],
    buckets,
    registers,
  })
  const gauge = (name: string, help: string, count: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(count())
      },
    })
  gauge('promenade_api_requests_in_flight', 'Requests not yet answered, those that wait included', counts.inFlight)
  gauge('promenade_api_waiting_clients', 'Requests held open until a job ends or changes', counts.waiting)
  let isAsked = false

  const observe: Observe = ({ method, routeOptions: { url = 'none' } }, { status, seconds }) => {
    duration.observe({ method, route: url, status }, seconds)
  }

  return {
    observe,

    /** `GET /metrics`, in the text format of Prometheus. */
    async routes(app: FastifyInstance): Promise<void> {
      app.get('/metrics', { config: { scope: 'admin' }, schema: { hide: true } }, async (_request, reply) => {
        // Node's own figures cost something to gather: from when someone wants them.
        if (!isAsked) collectDefaultMetrics({ register: registry })
        isAsked = true
        return reply.type(registry.contentType).send(await registry.metrics())
      })
    },
  }
}
