import { existsSync, statSync } from 'node:fs'
import { HubError } from './hub-error.ts'
import { digestOf, openPartialFile } from './partial-file.ts'
import type { HubFile, Repository } from './repository.ts'
import { type RetryOptions, retried } from './retry.ts'

/**
 * Brings one file of the repository to `path`, whole and with the right digest. Goes on from where an earlier attempt
 * stopped; what is there already is only checked. `onBytes` hears how many bytes are there.
 */
export async function fetchFile(
  repository: Repository,
  file: HubFile,
  options: RetryOptions & { commit: string; path: string; onBytes: (bytes: number) => void },
): Promise<void> {
  const { commit, path, onBytes, signal } = options
  if (await isWhole(path, file)) return onBytes(file.bytes)
  const partial = await openPartialFile(path, file)
  try {
    let fresh = partial.position === 0
    for (;;) {
      onBytes(partial.position)
      await retried(() => fetchRest(repository, file, { commit, signal, partial, onBytes }), {
        ...options,
        progress: () => partial.position,
      })
      const found = partial.digest()
      if (found === file.digest.hex) break
      // A part that an earlier process has left may have been bad; one fetched from the beginning may not be.
      partial.restart()
      if (fresh) {
        partial.remove()
        const kind = file.digest.algorithm === 'sha256' ? 'SHA-256' : "Git's SHA-1"
        throw new HubError(`${path}: ${kind} is ${found}, expected ${file.digest.hex}: not kept`, { retryable: false })
      }
      fresh = true
    }
    partial.finish()
  } finally {
    partial.close()
  }
}

async function fetchRest(
  repository: Repository,
  file: HubFile,
  options: {
    commit: string
    signal: AbortSignal
    partial: Awaited<ReturnType<typeof openPartialFile>>
    onBytes: (bytes: number) => void
  },
): Promise<void> {
  const { commit, signal, partial, onBytes } = options
  if (partial.position === file.bytes) return
  await repository.read(file, {
    commit,
    offset: partial.position,
    signal,
    take(bytes) {
      partial.write(bytes)
      onBytes(partial.position)
    },
  })
  if (partial.position < file.bytes) {
    const reason = `cut off at byte ${partial.position} of ${file.bytes}`
    throw new HubError(`${repository.name}: ${file.path}: ${reason}`, { retryable: true })
  }
}

async function isWhole(path: string, file: HubFile): Promise<boolean> {
  return existsSync(path) && statSync(path).size === file.bytes && (await digestOf(path, file)) === file.digest.hex
}
