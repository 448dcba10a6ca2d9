import type { ObjectStore } from '#shared/aws/object-store.ts'
import { jobId } from '#shared/contract/key.ts'
import { isFinal, type Result } from '#shared/contract/result.ts'
import type { Wanted } from '#shared/db/results.ts'
import type { Reader } from './reader.ts'
import { resultOf, revisionOf, type ShownJob } from './result.ts'
import { nameVersion } from './wanted-job.ts'
import type { Watcher } from './watcher.ts'

export type Inquiry = ReturnType<typeof createInquiry>

export interface Answer {
  result: Result
  /** S3's, of the picture; null where the bucket keeps no versions. */
  versionId: string | null
  /** Changes whenever the result does. */
  revision: string
  etag: string
  /** The result, of a job that has ended: it is asked for again and again. */
  json?: string
}

interface UploadedVersion {
  /** S3's id, or else the etag. */
  version: string
  versionId: string | null
}

/** API Gateway waits for 30 seconds. */
const maxLambdaWaitMs = 25_000

/** Asks for results: the database, and for what is uploaded and not received yet, the bucket. */
export function createInquiry({
  reader,
  objects,
  watcher,
  bucket,
  onLambda = false,
}: {
  reader: Pick<Reader, 'find' | 'remembered'>
  objects: Pick<ObjectStore, 'head'>
  watcher: Pick<Watcher, 'until' | 'watch'>
  bucket: string
  /** Where a function is ended before a client would tire, and what it answers goes out at its end. */
  onLambda?: boolean
}) {
  /** One for all who are told the same. */
  const answers = new WeakMap<ShownJob, Answer>()

  return {
    uploadedVersion,

    /** Nobody is held for longer. */
    maxWaitSeconds: onLambda ? maxLambdaWaitMs / 1000 : Number.POSITIVE_INFINITY,

    /** What has been told within a second, of a job that has ended. */
    remembered(wanted: Wanted): Answer | undefined {
      const found = reader.remembered(wanted)
      return found && answerOf(found)
    },

    /** Undefined for what was never uploaded. */
    async now(asked: Wanted, signal: AbortSignal): Promise<Answer | undefined> {
      const wanted = await nameVersion(objects, asked, signal)
      const found = await reader.find(wanted)
      return found ? answerOf(found) : findUpload(wanted, signal)
    },

    /** The answer as soon as it is enough, else as it stands when the time is up. Throws what `Watcher.until` throws. */
    async wait(
      asked: Wanted,
      isEnough: (answer: Answer) => boolean,
      { timeoutMs: askedMs, ...who }: { caller: string; signal: AbortSignal; timeoutMs: number },
    ): Promise<Answer | undefined> {
      const timeoutMs = onLambda ? Math.min(askedMs, maxLambdaWaitMs) : askedMs
      const until = performance.now() + timeoutMs
      const wanted = await nameVersion(objects, asked, who.signal)
      const isAnswer = (found: ShownJob | undefined) => found !== undefined && isEnough(answerOf(found))
      const first = await watcher.until(wanted, (found) => !found || isAnswer(found), { ...who, timeoutMs })
      if (first) return answerOf(first)
      const upload = await findUpload(wanted, who.signal)
      if (!upload || isEnough(upload)) return upload
      const left = Math.max(0, until - performance.now())
      const found = await watcher.until(wanted, isAnswer, { ...who, timeoutMs: left })
      return found ? answerOf(found) : upload
    },

    /**
     * Tells every further answer until the function returned is called; a function on Lambda can tell none. Throws what
     * `Watcher.watch` throws.
     */
    follow(
      wanted: Wanted,
      listener: (answer: Answer) => void,
      { caller, onClose }: { caller: string; onClose: () => void },
    ): () => void {
      if (onLambda) {
        setImmediate(onClose)
        return () => {}
      }
      return watcher.watch(wanted, (found) => found && listener(answerOf(found)), { caller, onClose })
    },
  }

  function answerOf(found: ShownJob): Answer {
    const known = answers.get(found)
    if (known) return known
    const result = resultOf(found)
    const revision = revisionOf(found.job)
    const answer = {
      result,
      versionId: found.job.versionId,
      revision,
      etag: `W/"${revision}"`,
      ...(isFinal(result.status) && { json: JSON.stringify(result) }),
    }
    answers.set(found, answer)
    return answer
  }

  /** What is uploaded and not yet received waits on the queue. */
  async function findUpload({ key, version, take = 0 }: Wanted, signal: AbortSignal): Promise<Answer | undefined> {
    // Others are ordered, and then they have a job.
    if (take !== 0) return undefined
    const uploaded = await uploadedVersion({ key, version }, signal)
    if (uploaded === undefined) return undefined
    const revision = jobId({ bucket, key, version: uploaded.version })
    return {
      result: { key, version: uploaded.version, status: 'queued' },
      versionId: uploaded.versionId,
      revision,
      etag: `W/"${revision}"`,
    }
  }

  /** The version that the bucket has: the newest, or the one that is asked for. */
  async function uploadedVersion(wanted: Wanted, signal: AbortSignal): Promise<UploadedVersion | undefined> {
    const { key, version } = await nameVersion(objects, wanted, signal)
    const newest = await objects.head(key, signal)
    const found = newest && versionOf(newest)
    if (version === undefined || version === found?.version) return found
    const isVersioned = !newest || newest.versionId !== undefined
    return isVersioned && (await objects.head(key, signal, version)) ? { version, versionId: version } : undefined
  }
}

function versionOf({ versionId, etag }: { versionId?: string; etag: string }): UploadedVersion {
  const id = versionId && versionId !== 'null' ? versionId : null
  return { version: id ?? etag, versionId: id }
}
