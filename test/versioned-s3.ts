import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { formEncodeKey } from '#shared/contract/s3-notification.ts'

interface Version {
  id: string
  /** Undefined for a delete marker. */
  body: Buffer | undefined
  etag: string
  lastModified: Date
}

/** One versioned bucket, which the emulator lacks, and all else passed on to the emulator. It announces nothing. */
export async function startVersionedS3({ endpoint, bucket }: { endpoint: string; bucket: string }) {
  const objects = new Map<string, Version[]>()

  async function answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(message.url!, endpoint)
    const [, first, ...rest] = pathname.split('/')
    const key = decodeURIComponent(rest.join('/'))
    if (first !== bucket) return forward(message, response)
    if (key === '') return void response.end(message.method === 'HEAD' ? '' : list(searchParams.get('prefix') ?? ''))
    const versions = objects.get(key) ?? []
    if (message.method === 'PUT' || message.method === 'DELETE') {
      const body = message.method === 'PUT' ? await buffer(message) : undefined
      const etag = createHash('md5')
        .update(body ?? '')
        .digest('hex')
      const version = { id: randomUUID(), body, etag, lastModified: new Date() }
      objects.set(key, [...versions, version])
      return void response.writeHead(200, { etag: `"${etag}"`, 'x-amz-version-id': version.id }).end()
    }
    const wanted = searchParams.get('versionId')
    const found = wanted ? versions.find(({ id }) => id === wanted) : versions.at(-1)
    if (!found?.body) return void response.writeHead(404).end()
    const { id, etag, body, lastModified } = found
    response.writeHead(200, {
      etag: `"${etag}"`,
      'x-amz-version-id': id,
      'last-modified': lastModified.toUTCString(),
      'content-length': body.length,
    })
    response.end(message.method === 'HEAD' ? undefined : body)
  }

  function list(prefix: string): string {
    const newest = [...objects].flatMap(([key, versions]) => {
      const { body, etag, lastModified } = versions.at(-1)!
      if (!body || !key.startsWith(prefix)) return []
      const time = lastModified.toISOString().replace(/\.\d+/, '.000')
      return `<Contents><Key>${formEncodeKey(key)}</Key><Size>${body.length}</Size><ETag>"${etag}"</ETag><LastModified>${time}</LastModified></Contents>`
    })
    return `<?xml version="1.0"?><ListBucketResult><EncodingType>url</EncodingType>${newest.join('')}</ListBucketResult>`
  }

  function forward(message: IncomingMessage, response: ServerResponse): void {
    const onward = request(new URL(message.url!, endpoint), { method: message.method, headers: message.headers })
    onward.on('response', (answered) => {
      response.writeHead(answered.statusCode!, answered.headers)
      answered.pipe(response)
    })
    onward.on('error', () => response.destroy())
    message.pipe(onward)
  }

  const server = createServer((message, response) => {
    answer(message, response).catch((error: unknown) => response.writeHead(500).end(String(error)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    versionsOf: (key: string) => (objects.get(key) ?? []).map(({ id }) => id),
    async close(): Promise<void> {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
