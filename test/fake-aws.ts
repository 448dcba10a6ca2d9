import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

type Answers = Record<string, (input: Record<string, unknown>) => unknown>

/** Services of AWS that speak JSON, on loopback: `answers` by the name of the operation, as `GetQueueAttributes`. */
export async function startFakeAws(answers: Answers) {
  /** `service:Operation`, as policies name them. */
  const operations = new Set<string>()
  const server = createServer(async (request, response) => {
    const [target = '', operation = ''] = String(request.headers['x-amz-target']).split('.')
    const service = { secretsmanager: 'secretsmanager', AmazonSSM: 'ssm', AmazonSQS: 'sqs' }[target]
    operations.add(`${service}:${operation}`)
    const input = (await json(request)) as Record<string, unknown>
    const answer = answers[operation]
    response.writeHead(answer ? 200 : 400, { 'content-type': 'application/x-amz-json-1.1' })
    response.end(JSON.stringify(answer ? answer(input) : { __type: 'InvalidAction', message: operation }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    operations,
    async stop(): Promise<void> {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
