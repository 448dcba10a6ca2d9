import { randomUUID } from 'node:crypto'
import pLimit from 'p-limit'
import type { ListedObject, ObjectStore } from '#shared/aws/object-store.ts'
import {
  generatedPrefix,
  imageKeyFault,
  jobId,
  musicKey,
  readMusicKey,
  sequencerAfter,
  uploadsPrefix,
} from '#shared/contract/key.ts'
import type { Assignment, ImageUploaded } from '#shared/contract/queue-message.ts'
import type { InventoriedJob, JobInventory, NewestVersion } from '#shared/db/job-inventory.ts'

/** Something that lacks its other half. */
export interface Orphan {
  kind: OrphanKind
  /** Of the picture, or of the music where that is what is left over. */
  key: string
  version?: string
  jobId: string
  since: Date
  /** What `mend` does, or why there is none. */
  remedy: string
  /** False when the orphan was no longer as found, and nothing was done. */
  mend?: () => Promise<boolean>
}

type OrphanKind =
  | 'picture_without_job'
  | 'picture_not_newest'
  | 'job_stuck'
  | 'job_without_row'
  | 'row_without_music'
  | 'music_differs'
  | 'music_without_row'

type Head = NonNullable<Awaited<ReturnType<ObjectStore['head']>>>

/** Requests under way at once. */
const concurrency = 16

/**
 * What lost notifications, killed workers and deleted objects leave behind, a page at a time. Nothing is changed but by
 * `mend`, which does no harm twice, cut off or in vain: an event too many finds its job settled.
 */
export function createOrphans({
  objects,
  inventory,
  announce,
  bucket,
  prefix,
  olderThanSeconds,
  verifyBytes,
  deleteMusic,
  now,
  signal,
}: {
  objects: Pick<ObjectStore, 'list' | 'head' | 'digest' | 'delete'>
  inventory: JobInventory
  /** Sends to the queue of events what asks for a first take, or for a later one. */
  announce: (assignment: Assignment) => Promise<void>
  bucket: string
  /** Of the pictures' keys; begins with `uploads/`. */
  prefix: string
  /** What is younger may be on its way, and is no orphan. */
  olderThanSeconds: number
  /** Music is read and compared with its digest, not with its size alone. */
  verifyBytes: boolean
  deleteMusic: boolean
  /** Milliseconds since 1970. */
  now: () => number
  signal: AbortSignal
}) {
  const latest = new Date(now() - olderThanSeconds * 1000)
  const limit = pLimit(concurrency)
  const seen = { pictures: 0, jobs: 0, failedJobs: 0, music: 0 }

  /** Pictures whose newest version is not the one that is answered. */
  async function* lostPictures(): AsyncGenerator<Orphan[], void> {
    for await (const page of objects.list(prefix, signal)) {
      seen.pictures += page.length
      const settled = page.filter((object) => object.lastModified <= latest && isPicture(object))
      const newest = await inventory.newest(settled.map(({ key }) => key))
      const doubtful = settled.filter((object) => !isAnswered(object, newest.get(object.key)))
      const found = await Promise.all(doubtful.map(({ key }) => limit(() => lostUpload(key, newest.get(key)))))
      const uploads = found.filter((upload) => upload !== undefined)
      const states = await inventory.states(uploads.map((upload) => jobId(upload)))
      yield uploads.map((upload) => ({
        kind: states.has(jobId(upload)) ? 'picture_not_newest' : 'picture_without_job',
        ...about(upload),
        since: new Date(upload.eventTime),
        ...announcing(upload),
      }))
    }
  }

  /**
   * The newest version of a picture unless it is the one answered. It is asked for after the database was: whatever that
   * knew is older, and what S3 announces from now on is newer. So it is ordered in between.
   */
  async function lostUpload(key: string, answered: NewestVersion | undefined): Promise<ImageUploaded | undefined> {
    const object = await objects.head(key, signal)
    if (!object || object.lastModified > latest) return undefined
    const { etag, size, lastModified } = object
    const { version, versionId } = versionOf(object)
    if (version === answered?.version) return undefined
    const sequencer = sequencerAfter(answered?.sequencer ?? '', lastModified)
    const eventTime = lastModified.toISOString()
    return { bucket, key, version, ...(versionId && { versionId }), etag, size, sequencer, eventTime }
  }

  /** Jobs that nobody works on, and those whose success lacks its row or its music. */
  async function* brokenJobs(): AsyncGenerator<Orphan[], void> {
    for (let after = ''; ; ) {
      signal.throwIfAborted()
      const page = await inventory.page(after, { stuckSeconds: olderThanSeconds })
      if (page.length === 0) return
      after = page.at(-1)!.id
      const jobs = page.filter(({ key }) => key.startsWith(prefix))
      seen.jobs += jobs.length
      seen.failedJobs += jobs.filter(({ state }) => state === 'failed').length
      const found = await Promise.all(jobs.map((job) => limit(() => examine(job))))
      yield found.filter((orphan) => orphan !== undefined)
    }
  }

  async function examine(job: InventoriedJob): Promise<Orphan | undefined> {
    const assignment = assignmentOf(job)
    const orphan = { key: job.key, version: job.version, jobId: job.id, since: job.updatedAt }
    if (job.isStuck) return { kind: 'job_stuck', ...orphan, ...announcing(assignment) }
    // One that was won just now may have its music deleted at this moment.
    const kind = job.state === 'succeeded' && job.updatedAt <= latest && (await faultOf(job))
    if (!kind) return undefined
    if (!(await canBeMade(job))) return { kind, ...orphan, remedy: 'none: this version of the picture is gone' }
    const mend = async () => {
      // Another run may have mended it since, and its music may be made already: only who wins the job deletes.
      const token = randomUUID()
      if (!(await inventory.win(job, token))) return false
      // The consumer lets stand what is stored already, and records it as its own. So it goes before any consumer may take
      // the job: cut off here, the row lacks its music, or the job its row.
      if (kind !== 'row_without_music') await objects.delete(musicKey(job.key, job.id), signal)
      if (!(await inventory.reopen(job.id, token))) return false
      await announce(assignment)
      return true
    }
    return { kind, ...orphan, remedy: 'make the music again', mend }
  }

  /** A later take needs no picture. */
  async function canBeMade({ key, version, versionId, take }: InventoriedJob): Promise<boolean> {
    if (take > 0) return true
    const picture = await objects.head(key, signal, versionId ?? undefined)
    return picture !== undefined && versionOf(picture).version === version
  }

  async function faultOf({ id, key, musicBytes, musicSha256 }: InventoriedJob): Promise<OrphanKind | undefined> {
    if (musicBytes === null) return 'job_without_row'
    const music = musicKey(key, id)
    const found = await objects.head(music, signal)
    if (!found) return 'row_without_music'
    if (found.size !== musicBytes) return 'music_differs'
    return verifyBytes && (await objects.digest(music, signal)) !== musicSha256 ? 'music_differs' : undefined
  }

  function assignmentOf(job: InventoriedJob): Assignment {
    const { key, version, take, versionId, etag, size, sequencer, uploadedAt, createdAt } = job
    if (take > 0) return { bucket, key, version, take, eventTime: createdAt.toISOString() }
    const eventTime = (uploadedAt ?? createdAt).toISOString()
    return { bucket, key, version, ...(versionId !== null && { versionId }), etag, size, sequencer, eventTime }
  }

  /** Music of no job, of one that was canceled, or of a failed one whose picture is gone or overwritten. */
  async function* leftoverMusic(): AsyncGenerator<Orphan[], void> {
    for await (const page of objects.list(generatedPrefix + prefix.slice(uploadsPrefix.length), signal)) {
      seen.music += page.length
      const music = page.filter(({ lastModified }) => lastModified <= latest).flatMap(readMusic)
      const states = await inventory.states(music.map(({ id }) => id))
      const unclaimed = music.filter(({ id }) => isOver(states.get(id)))
      const found = await Promise.all(unclaimed.map((each) => limit(() => leftover(each, states.get(each.id)))))
      yield found.filter((orphan) => orphan !== undefined)
    }
  }

  async function leftover({ key, id, imageKey, lastModified }: Music, job: Known): Promise<Orphan | undefined> {
    const orphan = { kind: 'music_without_row', key, jobId: id, since: lastModified } as const
    if (job?.state !== 'canceled') {
      // A replay would make it the music of its row.
      if (job && job.take > 0) return undefined
      if (imageKey === undefined)
        return { ...orphan, remedy: 'none: the key of its picture is cut, so nobody knows it' }
      const picture = await objects.head(imageKey, signal)
      if (picture && jobId({ bucket, key: imageKey, ...versionOf(picture) }) === id) return undefined
    }
    if (!deleteMusic) return { ...orphan, remedy: 'none without --delete-orphan-music' }
    const mend = async () => {
      const states = await inventory.states([id])
      if (!isOver(states.get(id))) return false
      await objects.delete(key, signal)
      return true
    }
    return { ...orphan, remedy: 'delete', mend }
  }

  function announcing(assignment: Assignment): Pick<Orphan, 'remedy' | 'mend'> {
    return { remedy: 're-enqueue', mend: () => announce(assignment).then(() => true) }
  }

  return { seen, searches: [lostPictures, brokenJobs, leftoverMusic] }
}

type Known = ReturnType<Awaited<ReturnType<JobInventory['states']>>['get']>
type Music = ReturnType<typeof readMusic>[number]

function readMusic({ key, lastModified }: ListedObject) {
  const named = readMusicKey(key)
  return named ? [{ key, lastModified, ...named }] : []
}

function about(upload: ImageUploaded) {
  return { key: upload.key, version: upload.version, jobId: jobId(upload) }
}

/** As an event would name it. */
function versionOf({ versionId, etag }: Head): { version: string; versionId?: string } {
  return versionId && versionId !== 'null' ? { version: versionId, versionId } : { version: etag }
}

/** Neither a folder, as the console of S3 makes them, nor of a name that the consumer refuses. */
function isPicture({ key, size }: ListedObject): boolean {
  return imageKeyFault(key) === undefined && !(key.endsWith('/') && size === 0)
}

/** As far as a listing tells: in a versioned bucket the same bytes may be another version, put there later. */
function isAnswered({ etag, lastModified }: ListedObject, answered: NewestVersion | undefined): boolean {
  if (answered?.etag !== etag) return false
  return answered.versionId === null || (answered.uploadedAt !== null && answered.uploadedAt >= lastModified)
}

/** No worker is going to write the row of such a job. */
function isOver(job: Known): boolean {
  return job === undefined || job.state === 'failed' || job.state === 'canceled'
}
