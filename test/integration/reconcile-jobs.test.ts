import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eq, sql } from 'drizzle-orm'
import { musicKey } from '#shared/contract/key.ts'
import { readQueueMessage } from '#shared/contract/queue-message.ts'
import type { FoundJob } from '#shared/db/results.ts'
import { artAnalysis, jobs as jobsTable } from '#shared/db/schema.ts'
import type { Orphan } from '../../services/dlq/orphans.ts'
import {
  arrived,
  assertWhole,
  atOnce,
  composed,
  consume,
  database,
  depth,
  find,
  jobs,
  kindsByKey,
  list,
  orders,
  orphansOf,
  purge,
  reconcile,
  remove,
  results,
  rowsUnder,
  set,
  takeEvent,
  upload,
} from './reconcile-fixture.ts'

test('jobs that nobody works on are taken up again, and those in work are not', async () => {
  const prefix = 'uploads/stuck/'
  const [queued, expired, held] = ['queued', 'expired', 'held'].map((name) => prefix + name) as [string, string, string]
  for (const key of [queued, expired, held]) {
    await upload(key)
    const read = readQueueMessage(await takeEvent())
    assert.equal(read.kind, 'uploads')
    const id = await jobs.receive(read.kind === 'uploads' ? read.uploads[0]! : assert.fail())
    if (key !== queued) await jobs.claim(id, { token: key, leaseSeconds: 600 })
    if (key === expired) await set(id, { leaseExpiresAt: sql`utc_timestamp(3) - interval 1 minute` })
    await set(id, { updatedAt: sql`utc_timestamp(3) - interval 5 minute` })
  }
  const patient = await reconcile(['--prefix', prefix, '--older-than', '10m'])
  assert.deepEqual([patient.status, patient.orphans], [0, []])
  const { orphans } = await reconcile(['--prefix', prefix, '--older-than', '30s', '--yes'])
  assert.deepEqual(kindsByKey(orphans), { [queued]: 'job_stuck mended', [expired]: 'job_stuck mended' })
  await consume()
  await assertWhole([queued, expired])
  assert.equal((await find(held)).job.leaseToken, held)
})

test('a success that is not whole is made whole: the same job, one row, and the music it tells of', async () => {
  const prefix = 'uploads/broken/'
  const faults = {
    'no music': async ({ job }: FoundJob) => remove(musicKey(job.imageKey, job.id)),
    'short music': async ({ job }: FoundJob) => upload(musicKey(job.imageKey, job.id), Buffer.alloc(100)),
    'other music': async ({ job, analysis }: FoundJob) =>
      upload(musicKey(job.imageKey, job.id), Buffer.alloc(analysis!.musicBytes)),
    'no row': async ({ job }: FoundJob) => {
      await database.run((db) => db.delete(artAnalysis).where(eq(artAnalysis.jobId, job.id)))
    },
    'gone picture': async ({ job }: FoundJob) => {
      await remove(job.imageKey)
      await remove(musicKey(job.imageKey, job.id))
    },
    whole: async () => {},
  }
  const keys = Object.keys(faults).map((name) => prefix + name)
  for (const key of keys) await upload(key)
  await arrived(keys.length)
  await consume()
  for (const [name, damage] of Object.entries(faults)) await damage(await find(prefix + name))
  const before = await rowsUnder(prefix)

  const bySize = await reconcile(['--prefix', prefix, ...atOnce])
  const found = {
    [`${prefix}no music`]: 'row_without_music found',
    [`${prefix}short music`]: 'music_differs found',
    [`${prefix}no row`]: 'job_without_row found',
    [`${prefix}gone picture`]: 'row_without_music left',
  }
  assert.deepEqual(kindsByKey(bySize.orphans), found)
  const byBytes = await reconcile(['--prefix', prefix, ...atOnce, '--verify-bytes'])
  assert.deepEqual(kindsByKey(byBytes.orphans), { ...found, [`${prefix}other music`]: 'music_differs found' })
  assert.deepEqual(await rowsUnder(prefix), before, 'a dry run changes nothing')
  assert.equal(await depth(), 0)

  const mended = await reconcile(['--prefix', prefix, ...atOnce, '--verify-bytes', '--yes'])
  assert.deepEqual([mended.status, mended.count('mended'), mended.count('left')], [1, 4, 1])
  // The models are others by now.
  await consume({ inference: { compose: async () => [new Float32Array(6400).fill(0.125)] } })
  await assertWhole(keys.filter((key) => key !== `${prefix}gone picture`))
  for (const name of ['no music', 'short music', 'other music', 'no row']) {
    const { durationSeconds, sampleRate } = (await find(prefix + name)).analysis!
    assert.equal(durationSeconds, 6400 / sampleRate, name)
  }
  assert.equal((await find(`${prefix}gone picture`)).job.state, 'succeeded', 'what cannot be mended stays as it is')
  const after = await reconcile(['--prefix', prefix, ...atOnce, '--verify-bytes'])
  assert.deepEqual(kindsByKey(after.orphans), { [`${prefix}gone picture`]: 'row_without_music left' })
})

test('mending that is cut off never leaves a job queued whose wrong music is still there', async () => {
  const key = 'uploads/cut off.jpg'
  await upload(key)
  await arrived(1)
  await consume()
  const { job } = await find(key)
  await upload(musicKey(key, job.id), Buffer.alloc(100))
  const [orphan, ...others] = await orphansOf(key, { delete: () => Promise.reject(new Error('cut off')) })
  assert.deepEqual([orphan?.kind, others], ['music_differs', []])
  await assert.rejects(orphan!.mend!(), /cut off/)
  assert.equal((await find(key)).job.state, 'succeeded')
  assert.equal((await reconcile(['--prefix', key, ...atOnce, '--yes'])).status, 0)
  await consume()
  await assertWhole([key])
})

test('what two runs have found one of them mends, and what was made again since is not deleted', async () => {
  const prefix = 'uploads/two runs/'
  const faults = {
    'short music': async ({ job }: FoundJob) => upload(musicKey(job.imageKey, job.id), Buffer.alloc(100)),
    'no row': async ({ job }: FoundJob) => {
      await database.run((db) => db.delete(artAnalysis).where(eq(artAnalysis.jobId, job.id)))
    },
    'no music': async ({ job }: FoundJob) => remove(musicKey(job.imageKey, job.id)),
  }
  const keys = Object.keys(faults).map((name) => prefix + name)
  for (const key of keys) await upload(key)
  await arrived(keys.length)
  await consume()
  for (const [name, damage] of Object.entries(faults)) await damage(await find(prefix + name))
  const mendAll = (orphans: Orphan[]) => Promise.all(orphans.map(({ mend }) => mend!()))
  const [one, two] = [await orphansOf(prefix), await orphansOf(prefix)]
  assert.deepEqual(await mendAll(one), [true, true, true])
  await consume()
  assert.deepEqual(await mendAll(two), [false, false, false])
  assert.equal(await depth(), 0)
  await assertWhole(keys)
})

test('music that nobody wants is deleted only when so asked; music that will be wanted is not', async () => {
  const prefix = 'uploads/leftover/'
  const id = '0123456789abcdef'.repeat(2)
  const cut = `uploads/leftover/${'x'.repeat(1000)}`
  const music = {
    gone: musicKey(`${prefix}gone`, id),
    overwritten: musicKey(`${prefix}overwritten`, id),
    cut: musicKey(cut, id),
  }
  for (const key of Object.values(music)) await upload(key, Buffer.from('RIFF'))
  await upload(`generated/leftover/readme.txt`, Buffer.from('not music'))
  await upload(`${prefix}overwritten`)
  await upload(`${prefix}made`)
  await arrived(2)
  await consume()
  const made = await find(`${prefix}made`)
  await database.run((db) => db.delete(jobsTable).where(eq(jobsTable.id, made.job.id)))

  const kept = await reconcile(['--prefix', prefix, ...atOnce, '--yes'])
  assert.equal(kept.status, 1)
  assert.deepEqual(kindsByKey(kept.orphans), {
    [`${prefix}made`]: 'picture_without_job mended',
    [music.gone]: 'music_without_row left',
    [music.overwritten]: 'music_without_row left',
    [music.cut]: 'music_without_row left',
  })
  const young = await reconcile(['--prefix', prefix, '--older-than', '1h', '--yes', '--delete-orphan-music'])
  assert.deepEqual(young.orphans, [])
  const deleted = await reconcile(['--prefix', prefix, ...atOnce, '--yes', '--delete-orphan-music'])
  assert.equal(kindsByKey(deleted.orphans)[music.gone], 'music_without_row mended')
  assert.equal(kindsByKey(deleted.orphans)[music.cut], 'music_without_row left')
  await consume()
  assert.deepEqual(
    (await list('generated/leftover/')).toSorted(),
    [
      musicKey(`${prefix}made`, made.job.id),
      musicKey(`${prefix}overwritten`, (await find(`${prefix}overwritten`)).job.id),
      'generated/leftover/readme.txt',
      music.cut,
    ].toSorted(),
  )
  await assertWhole([`${prefix}made`])
})

test('failed jobs are counted and left alone, the music of a try before too while the picture is there', async () => {
  const key = 'uploads/failed/text.jpg'
  await upload(key, Buffer.from('text'))
  await arrived(1)
  await consume()
  const { job } = await find(key)
  assert.equal(job.state, 'failed')
  await upload(musicKey(key, job.id), Buffer.from('RIFF'))
  const options = ['--prefix', 'uploads/failed/', ...atOnce, '--yes', '--delete-orphan-music']
  const there = await reconcile(options)
  assert.deepEqual([there.status, there.orphans], [0, []])
  assert.match(there.stderr, /looked at 1 pictures, 1 jobs \(of them 1 failed, and left alone\) and 1 pieces of music/)
  await remove(key)
  const gone = await reconcile(options)
  assert.deepEqual(kindsByKey(gone.orphans), { [musicKey(key, job.id)]: 'music_without_row mended' })
})

test('the music of a later take is made again, without the picture', async () => {
  const key = 'uploads/later/a.jpg'
  await upload(key)
  await arrived(1)
  await consume()
  const ordered = await orders.order({ key, seconds: 1 }, { caller: 'anyone' })
  assert.ok(ordered.outcome === 'placed')
  await remove(key)
  const options = ['--prefix', key, ...atOnce, '--yes']
  const stuck = await reconcile(options)
  assert.deepEqual(kindsByKey(stuck.orphans), { [key]: 'job_stuck mended' })
  await consume()
  await remove(musicKey(key, ordered.found.job.id))
  const broken = await reconcile(options)
  assert.deepEqual(kindsByKey(broken.orphans), { [key]: 'row_without_music mended' })
  await consume()
  const { job, analysis } = (await results.find({ key, take: 1 }))!
  assert.deepEqual([job.state, analysis!.durationSeconds, composed], ['succeeded', 1, 3])
  assert.deepEqual((await reconcile(options)).orphans, [])
})

test('music of a canceled job is left over; that of a later take that failed is not, since a replay records it', async () => {
  const prefix = 'uploads/ended/'
  for (const name of ['a', 'b']) await upload(prefix + name)
  await arrived(2)
  await consume()
  await orders.order({ key: `${prefix}b` }, { caller: 'anyone' })
  const canceled = (await find(`${prefix}a`)).job.id
  const failed = (await results.find({ key: `${prefix}b`, take: 1 }))!.job.id
  await database.run((db) => db.delete(artAnalysis).where(eq(artAnalysis.jobId, canceled)))
  await set(canceled, { state: 'canceled' })
  await set(failed, { state: 'failed' })
  await upload(musicKey(`${prefix}b`, failed), Buffer.from('RIFF'))
  const { orphans } = await reconcile(['--prefix', prefix, ...atOnce, '--yes', '--delete-orphan-music'])
  assert.deepEqual(kindsByKey(orphans), { [musicKey(`${prefix}a`, canceled)]: 'music_without_row mended' })
})

test('cut off, no job is queued again without its event', async () => {
  const prefix = 'uploads/cut off/'
  const keys = Array.from({ length: 12 }, (_, index) => `${prefix}${index}.jpg`)
  for (const key of keys) await upload(key)
  await arrived(keys.length)
  await consume()
  for (const key of keys) await remove(musicKey(key, (await find(key)).job.id))
  const interrupt = new AbortController()
  const cutOff = reconcile(['--prefix', prefix, '--older-than', '0s', '--rate', '5', '--yes'], {
    signal: interrupt.signal,
  })
  await arrived(2)
  interrupt.abort(new Error('interrupted'))
  await assert.rejects(cutOff, /interrupted/)
  const queued = (await rowsUnder(prefix)).filter(({ job }) => job.state === 'queued')
  assert.equal(queued.length, await depth())
  await purge()
})
