import { createHash } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface FakeRepository {
  /** As in facebook/musicgen-small. */
  name: string
  /** Files by path, at each commit. */
  commits: Record<string, Record<string, Buffer>>
  /** Commits by branch or ref. */
  refs: Record<string, string>
  /** Only for requests with this token. */
  token?: string
}

/** What to do to a request for a file's bytes in place of answering it well. */
export type Fault =
  | { status: number }
  /** Sends so many bytes, then breaks the connection. */
  | { cutAfter: number }
  /** Sends so many bytes, then nothing more. */
  | { silentAfter: number }
  | { ignoreRange: true }

export interface FileRequest {
  path: string
  range: string | undefined
  authorization: string | undefined
}

/** Files kept in LFS: redirected to, and known by their SHA-256. */
const inLfs = (path: string) => /\.(safetensors|bin)$/.test(path)

/**
 * A hub on loopback that speaks what @huggingface/hub asks: model info, tree, resolve with a redirect for LFS, ranges.
 * `faults` are taken from the front, one for each request for more than the first byte of a file in LFS.
 */
export async function startFakeHub(repository: FakeRepository, faults: Fault[] = []) {
  const requests: FileRequest[] = []
  const api = `/api/models/${repository.name}`
  const server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://hub')
    const path = decodeURIComponent(url.pathname)
    const { authorization, range } = request.headers
    const json = (value: object) => response.setHeader('content-type', 'application/json').end(JSON.stringify(value))
    const fail = (status: number, code?: string) => {
      response.writeHead(status, { 'content-type': 'text/plain', ...(code && { 'x-error-code': code }) }).end('no')
    }
    const cdn = path.startsWith('/cdn/')
    if (!cdn && repository.token && authorization !== `Bearer ${repository.token}`) return fail(401, 'GatedRepo')

    if (path.startsWith(`${api}/revision/`)) {
      const commit = commitOf(path.slice(`${api}/revision/`.length))
      return commit ? json({ _id: 'id', id: repository.name, sha: commit, lastModified: 0 }) : fail(404)
    }
    if (path.startsWith(`${api}/tree/`)) {
      const commit = commitOf(path.slice(`${api}/tree/`.length))
      return commit ? json(Object.entries(repository.commits[commit]!).map(treeEntry)) : fail(404)
    }
    if (path === `${api}/refs`) {
      const pulls = Object.entries(repository.refs).filter(([ref]) => ref.startsWith('refs/pr/'))
      return json({ pullRequests: pulls.map(([ref, targetCommit]) => ({ name: ref, ref, targetCommit })) })
    }
    const [, origin, commit, file] = /^\/(cdn|.+\/resolve)\/([0-9a-f]{40})\/(.+)$/.exec(path) ?? []
    const bytes = repository.commits[commit!]?.[file!]
    if (!bytes) return fail(404, 'EntryNotFound')
    if (origin !== 'cdn' && inLfs(file!)) {
      const etag = `"${createHash('sha256').update(bytes).digest('hex')}"`
      const headers = { 'x-linked-etag': etag, 'x-linked-size': bytes.length, location: `/cdn/${commit}/${file}` }
      response.writeHead(302, headers).end()
      return
    }
    if (range === 'bytes=0-0') return send(response, bytes, { start: 0, end: 1 })
    requests.push({ path: file!, range, authorization })
    const [, start] = /^bytes=(\d+)-/.exec(range ?? '') ?? []
    const fault = cdn ? faults.shift() : undefined
    if (fault && 'status' in fault) return fail(fault.status)
    const part = { start: start ? Number(start) : undefined, end: bytes.length }
    if (fault && 'ignoreRange' in fault) return send(response, bytes, { end: bytes.length })
    const stopAfter = fault && ('cutAfter' in fault ? fault.cutAfter : fault.silentAfter)
    if (stopAfter === undefined) return send(response, bytes, part)
    response.writeHead(start ? 206 : 200, { etag: '"e"', 'content-length': bytes.length - (part.start ?? 0) })
    response.write(bytes.subarray(part.start ?? 0, (part.start ?? 0) + stopAfter), () => {
      if (fault && 'cutAfter' in fault) response.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  const commitOf = (revision: string) =>
    repository.commits[revision] ? revision : (repository.refs[revision] as string | undefined)

  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** For the bytes of files; not the probes of their first byte. */
    requests,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function treeEntry([path, bytes]: [string, Buffer]) {
  const oid = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const lfs = inLfs(path) && { lfs: { oid: sha256, size: bytes.length, pointerSize: 130 } }
  return { type: 'file', path, size: bytes.length, oid, ...lfs }
}

function send(response: ServerResponse, bytes: Buffer, { start, end }: { start?: number | undefined; end: number }) {
  const part = bytes.subarray(start ?? 0, end)
  const headers = { etag: '"e"', 'content-length': part.length, 'accept-ranges': 'bytes' }
  if (start === undefined) response.writeHead(200, headers)
  else response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` })
  response.end(part)
}
