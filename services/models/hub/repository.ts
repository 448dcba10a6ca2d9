import { downloadFile, HubApiError, listFiles, modelInfo } from '@huggingface/hub'
import { DiskError } from '../disk.ts'
import { HubError } from './hub-error.ts'

/** Of a file's content: SHA-256 of what Git LFS keeps, else the id that Git itself gives it. */
interface Digest {
  algorithm: 'sha256' | 'git-sha1'
  hex: string
}

export interface HubFile {
  path: string
  bytes: number
  digest: Digest
}

interface HubOptions {
  /** Origin of the hub, such as https://huggingface.co. */
  endpoint: string
  /** Begins with hf_. */
  token?: string | undefined
  /** A request that is silent for this long is given up. */
  silenceMilliseconds: number
}

export type Repository = ReturnType<typeof createRepository>

/** Revisions of pull requests that are looked through, the latest first. */
const maxPullRequests = 20

/** A model repository of the hub, such as facebook/musicgen-small. Everything throws HubError, DiskError or the reason of its signal. */
export function createRepository(name: string, { endpoint, token, silenceMilliseconds }: HubOptions) {
  const about = { hubUrl: endpoint, ...(token && { accessToken: token }) }

  /** Runs `work` with a fetch that ends with `signal`, and once `alive` has not been called for too long. */
  async function ask<T>(
    what: string,
    signal: AbortSignal,
    work: (options: { fetch: typeof fetch; alive: () => void }) => Promise<T>,
  ): Promise<T> {
    const silence = new AbortController()
    const giveUp = () => silence.abort(new Error(`no answer within ${silenceMilliseconds / 1000} s`))
    const timer = setTimeout(giveUp, silenceMilliseconds)
    const both = AbortSignal.any([signal, silence.signal])
    try {
      const fetchUntil: typeof fetch = (input, init) => fetch(input, { ...init, signal: both })
      return await work({ fetch: fetchUntil, alive: () => timer.refresh() })
    } catch (error) {
      signal.throwIfAborted()
      throw explain(what, silence.signal.aborted ? silence.signal.reason : error)
    } finally {
      clearTimeout(timer)
      silence.abort()
    }
  }

  function explain(what: string, error: unknown): Error {
    if (error instanceof HubError || error instanceof DiskError) return error
    const status = error instanceof HubApiError ? error.statusCode : undefined
    if (status === 401 || status === 403) {
      const access = token ? 'the token in HF_TOKEN has no access to it' : 'it is private or gated, or does not exist'
      const terms = 'accept its terms on its page'
      const remedy = token ? `check HF_TOKEN, or ${terms}` : `${terms} and set HF_TOKEN`
      return new HubError(`${what}: refused with status ${status}: ${access}; ${remedy}`, { retryable: false })
    }
    if (status === 404) return new HubError(`${what}: not found at ${endpoint}`, { retryable: false })
    const retryable = status === undefined || status === 408 || status === 429 || status >= 500
    const reason = status === undefined ? reasonOf(error) : `status ${status}`
    return new HubError(`${what}: fetching from ${endpoint} failed: ${reason}`, { retryable, cause: error })
  }

  async function filesAt(revision: string, fetch: typeof globalThis.fetch): Promise<HubFile[]> {
    const files: HubFile[] = []
    for await (const { type, path, size, oid, lfs } of listFiles({ repo: name, revision, fetch, ...about })) {
      if (type !== 'file') continue
      const digest: Digest = lfs ? { algorithm: 'sha256', hex: lfs.oid } : { algorithm: 'git-sha1', hex: oid! }
      files.push({ path, bytes: lfs?.size ?? size, digest })
    }
    return files
  }

  return {
    name,
    endpoint,

    /** The commit that a branch, tag, ref or commit stands for now, and the files at its top level. */
    resolve(revision: string, signal: AbortSignal): Promise<{ commit: string; files: HubFile[] }> {
      return ask(`${name} at ${revision}`, signal, async ({ fetch, alive }) => {
        const { sha: commit } = await modelInfo({ name, revision, fetch, additionalFields: ['sha'], ...about })
        alive()
        if (!/^[0-9a-f]{40}$/.test(commit)) throw new Error(`expected a commit, found ${JSON.stringify(commit)}`)
        return { commit, files: await filesAt(commit, fetch) }
      })
    },

    /** The latest pull request that has a file `wanted`, if any has. */
    findPullRequest(wanted: (path: string) => boolean, signal: AbortSignal) {
      return ask(`pull requests of ${name}`, signal, async ({ fetch, alive }) => {
        const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {}
        const response = await fetch(`${endpoint}/api/models/${name}/refs?include_prs=1`, { headers })
        if (!response.ok) throw new Error(`status ${response.status}`)
        const { pullRequests = [] } = (await response.json()) as {
          pullRequests?: { ref: string; targetCommit: string }[]
        }
        const latest = pullRequests.toSorted((a, b) => numberOf(b.ref) - numberOf(a.ref)).slice(0, maxPullRequests)
        for (const { ref, targetCommit } of latest) {
          alive()
          const files = await filesAt(targetCommit, fetch)
          if (files.some(({ path }) => wanted(path))) return { ref, commit: targetCommit }
        }
        return undefined
      })
    },

    /** Gives `take` the bytes of a file from `offset` on, to its end. */
    read(
      { path, bytes }: HubFile,
      options: { commit: string; offset: number; signal: AbortSignal; take: (bytes: Uint8Array) => void },
    ): Promise<void> {
      const { commit, offset, signal, take } = options
      return ask(`${name}: ${path}`, signal, async ({ fetch, alive }) => {
        const ranged: typeof fetch = async (input, init) => {
          const response = await fetch(input, init)
          alive()
          const range = new Headers(init?.headers).get('range')
          // The first byte is asked for to learn of the file; the client understands what is answered to that.
          if (range === 'bytes=0-0' || response.status === (range ? 206 : 200)) return response
          throw new Error(`status ${response.status}, expected ${range ? 206 : 200}`)
        }
        const blob = await downloadFile({ repo: name, path, revision: commit, xet: false, fetch: ranged, ...about })
        if (!blob) throw new HubError(`${name}: ${path}: not found at ${endpoint}`, { retryable: false })
        if (blob.size !== bytes) throw new Error(`the file has ${blob.size} bytes, expected ${bytes}`)
        for await (const chunk of blob.slice(offset, bytes).stream()) {
          alive()
          take(chunk)
        }
      })
    },
  }
}

const numberOf = (ref: string) => Number(/\d+$/.exec(ref)?.[0] ?? 0)

/** fetch says "fetch failed" and keeps the reason in its causes; the hub's client rejects streams with strings. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  return cause instanceof Error
    ? `${error.message}: ${(cause as NodeJS.ErrnoException).code ?? cause.message}`
    : error.message
}
