import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectStore } from '#shared/aws/object-store.ts'
import { jobId, musicKey } from '#shared/contract/key.ts'
import type { InventoriedJob, JobInventory } from '#shared/db/job-inventory.ts'
import { createOrphans } from '../../../services/dlq/orphans.ts'

const bucket = 'pictures'
const key = 'uploads/a.jpg'
const version = 'etag'
const id = jobId({ bucket, key, version })
const time = new Date('2026-01-01T00:00:00Z')

test('music that differs goes first: cut off there, it is found again, and not taken for the music of the next try', async () => {
  for (const cut of ['win', 'delete', 'reopen', 'announce'] as const) {
    const house = build({ cut })
    const [orphan] = await house.broken()
    assert.equal(orphan?.kind, 'music_differs')
    await assert.rejects(orphan.mend!(), /cut off/)
    assert.ok(house.job.state === 'succeeded' || house.music() === undefined, `${cut}: ${house.job.state}`)
    const [again] = await build({ ...house, cut: undefined }).broken()
    assert.ok(again?.mend, 'the next run mends it')
  }
})

test('a job that another run has won is no orphan while its music may be on the way out', async () => {
  const house = build({ olderThanSeconds: 900 })
  assert.deepEqual(await house.broken(), [])
  house.job.updatedAt = new Date(time.getTime() - 900_000)
  const [one] = await house.broken()
  const [two] = await house.broken()
  assert.equal(await one!.mend!(), true)
  house.objects.set(musicKey(key, id), 2)
  assert.equal(await two!.mend!(), false)
  assert.equal(house.music(), 2, 'what was made since')
})

/** One picture, its job, and music that is not the row's. */
function build({
  cut,
  job = {
    id,
    key,
    version,
    take: 0,
    versionId: null,
    etag: version,
    size: 1,
    sequencer: '',
    state: 'succeeded',
    uploadedAt: time,
    createdAt: time,
    updatedAt: time,
    isStuck: false,
    musicBytes: 2,
    musicSha256: '',
  },
  objects = new Map([
    [key, 1],
    [musicKey(key, id), 1],
  ]),
  olderThanSeconds = 0,
}: {
  cut?: 'win' | 'delete' | 'reopen' | 'announce' | undefined
  job?: InventoriedJob
  objects?: Map<string, number>
  olderThanSeconds?: number
}) {
  const at = (step: typeof cut) => {
    if (cut === step) throw new Error('cut off')
  }
  const store: Pick<ObjectStore, 'list' | 'head' | 'digest' | 'delete'> = {
    async *list() {},
    async head(name) {
      const size = objects.get(name)
      return size === undefined ? undefined : { etag: version, size, lastModified: time }
    },
    digest: async () => '',
    async delete(name) {
      at('delete')
      objects.delete(name)
    },
  }
  const inventory: JobInventory = {
    page: async (after) => (after ? [] : [{ ...job }]),
    newest: async () => new Map(),
    states: async () => new Map([[id, job]]),
    async win({ updatedAt }) {
      at('win')
      if (job.state !== 'succeeded' || job.updatedAt.getTime() !== updatedAt.getTime()) return false
      job.updatedAt = time
      return true
    },
    async reopen() {
      at('reopen')
      // Long ago by the time of the next run.
      Object.assign(job, { state: 'queued', isStuck: true })
      return true
    },
  }
  const { searches } = createOrphans({
    objects: store,
    inventory,
    announce: async () => at('announce'),
    bucket,
    prefix: 'uploads/',
    olderThanSeconds,
    verifyBytes: false,
    deleteMusic: false,
    now: () => time.getTime(),
    signal: new AbortController().signal,
  })
  const [, brokenJobs] = searches
  return {
    job,
    objects,
    music: () => objects.get(musicKey(key, id)),
    async broken() {
      const { value = [] } = await brokenJobs!().next()
      return value
    },
  }
}
