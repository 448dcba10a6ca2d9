import { once } from 'node:events'
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** A call as a policy sees it: `resource` is `<bucket>`, `<bucket>/<key>` or the name of a queue. */
export interface Call {
  action: string
  resource: string
}

/** A way to S3 and SQS on loopback that notes what is asked of them. */
export async function startRecordingProxy(target: string) {
  const calls: Call[] = []
  /** Said in place of the servers, by action: what they do not have, or shall refuse; each once. */
  const answers: { action: string; status: number; body: object }[] = []

  const server = createServer((request, response) => {
    handle(request, response).catch((error: Error) => response.destroy(error))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request)
    const call = request.headers['x-amz-target'] ? sqsCall(request, body) : s3Call(request)
    calls.push(call)
    const index = answers.findIndex(({ action }) => action === call.action)
    if (index >= 0) {
      const [{ status, body: answer }] = answers.splice(index, 1) as [(typeof answers)[number]]
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(answer))
      return
    }
    const { method, url, headers } = request
    const onward = forward(new URL(url!, target), { method: method!, headers })
    onward.end(body)
    const [answer] = (await once(onward, 'response')) as [IncomingMessage]
    response.writeHead(answer.statusCode!, answer.headers)
    answer.pipe(response)
  }

  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    answers,
    async stop(): Promise<void> {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function sqsCall({ headers }: IncomingMessage, body: Buffer): Call {
  const operation = String(headers['x-amz-target'])
    .replace('AmazonSQS.', '')
    .replace(/Batch$/, '')
  const { QueueUrl, SourceArn } = JSON.parse(body.toString())
  // A task is canceled by its handle, which does not say where.
  const queue = QueueUrl ? new URL(QueueUrl).pathname : SourceArn
  return { action: `sqs:${operation}`, resource: queue?.split(/[/:]/).at(-1) ?? '' }
}

function s3Call({ method, url }: IncomingMessage): Call {
  const { pathname, searchParams } = new URL(url!, 'http://localhost')
  const [, bucket = '', ...rest] = pathname.split('/')
  const key = decodeURIComponent(rest.join('/'))
  if (key === '') return { action: 's3:ListBucket', resource: bucket }
  const version = searchParams.has('versionId') ? 'Version' : ''
  const verb = { GET: 'Get', HEAD: 'Get', PUT: 'Put', POST: 'Put', DELETE: 'Delete' }[method ?? '']
  return { action: `s3:${verb}Object${version}`, resource: `${bucket}/${key}` }
}
