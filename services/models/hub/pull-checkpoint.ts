import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { CheckpointError } from '../checkpoint-error.ts'
import { isWeights, neededFiles } from '../checkpoint-files.ts'
import { isReceipt, type Receipt, readReceipt, writeReceipt } from '../checkpoint-store.ts'
import { requireSpace } from '../disk.ts'
import { fetchFile } from './fetch-file.ts'
import { isPartialFile } from './partial-file.ts'
import type { HubFile, Repository } from './repository.ts'
import { type RetryOptions, retried } from './retry.ts'

export interface PullProgress {
  start(file: string, bytes: number): void
  /** Bytes of the file that are there. */
  advance(bytes: number): void
  note(message: string): void
}

/**
 * Brings a revision of a repository into the folder `dir`: the files `required` and the weights in safetensors, each
 * with its digest checked. What an interrupted pull has left is gone on from. Throws HubError, CheckpointError, DiskError.
 */
export async function pullCheckpoint(
  repository: Repository,
  options: {
    revision: string
    required: readonly string[]
    dir: string
    signal: AbortSignal
    retryDelayMilliseconds: number
    progress: PullProgress
  },
): Promise<Receipt> {
  const { revision, required, dir, signal, retryDelayMilliseconds, progress } = options
  const retry: RetryOptions = {
    signal,
    delayMilliseconds: retryDelayMilliseconds,
    onRetry: (message) => progress.note(message),
  }
  const { commit, files } = await retried(() => repository.resolve(revision, signal), retry)
  const where = `${repository.name} at ${revision}`
  const names = neededFiles(
    files.map(({ path }) => path),
    required,
    where,
  )
  if (!names) throw await withoutSafetensors(repository, where, files, retry)
  const wanted = files.filter(({ path }) => names.includes(path))
  mkdirSync(dir, { recursive: true })
  requireSpace(dir, missingBytes(dir, wanted))

  const old = readReceipt(dir)
  if (old && old.revision !== commit) removeAll(dir, isReceipt)
  for (const file of wanted) {
    progress.start(file.path, file.bytes)
    const path = join(dir, file.path)
    await fetchFile(repository, file, { ...retry, commit, path, onBytes: (bytes) => progress.advance(bytes) })
  }
  removeAll(dir, (name) => !isReceipt(name) && !isPartialFile(name) && !names.includes(name))
  const receipt = {
    repository: repository.name,
    revision: commit,
    requested: revision,
    pulledAt: new Date().toISOString(),
    files: Object.fromEntries(
      wanted.map(({ path, bytes, digest }) => [path, { bytes, digest: `${digest.algorithm}:${digest.hex}` }]),
    ),
  }
  writeReceipt(dir, receipt)
  return receipt
}

/** Pull requests may come from anybody, so one that has the weights is named, but not taken. */
async function withoutSafetensors(
  repository: Repository,
  where: string,
  files: HubFile[],
  retry: RetryOptions,
): Promise<CheckpointError> {
  const others = files.map(({ path }) => path).filter((path) => /\.(bin|safetensors|msgpack|h5)$/.test(path))
  const found = others.join(', ') || 'no weights at all'
  const conversion = await retried(() => repository.findPullRequest(isWeights, retry.signal), retry)
  const remedy = conversion
    ? `The pull request ${conversion.ref} has it, as commit ${conversion.commit}. Anybody can open one: look at ` +
      `${repository.endpoint}/${repository.name}/tree/${conversion.commit}, then pull with --revision ${conversion.commit}`
    : 'No recent pull request has it: convert the checkpoint to safetensors and build it with --from'
  return new CheckpointError(`${where}: expected model.safetensors, found ${found}. ${remedy}`)
}

function missingBytes(dir: string, files: HubFile[]): number {
  const there = readdirSync(dir)
  return files.reduce((sum, { path, bytes, digest }) => {
    const have = there
      .filter((name) => name === path || name.startsWith(`${path}.${digest.hex.slice(0, 12)}.partial-`))
      .map((name) => statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0)
    return sum + Math.max(0, bytes - Math.max(0, ...have))
  }, 0)
}

function removeAll(dir: string, chosen: (name: string) => boolean): void {
  for (const name of readdirSync(dir).filter(chosen)) rmSync(join(dir, name), { recursive: true, force: true })
}

export const isPulled = (dir: string, source: { repository: string; revision: string }) => {
  const receipt = readReceipt(dir)
  return receipt?.repository === source.repository && [receipt.revision, receipt.requested].includes(source.revision)
}
