import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { keepLease } from '../../../../services/consumer/pipeline/lease.ts'

const leaseSeconds = 60

test('a lease that is renewed lasts', async (t) => {
  const { lease, pass, renewals } = keep(t, async () => true)
  await pass(600)
  assert.equal(lease.isLost(), false)
  assert.equal(renewals(), 40)
  await lease.end()
  await pass(600)
  assert.equal(renewals(), 40)
  assert.equal(lease.signal.aborted, false)
})

test('a lease that someone else has is lost at the next renewal, and not asked for again', async (t) => {
  const { lease, pass, renewals } = keep(t, async () => false)
  await pass(15)
  assert.equal(lease.isLost(), true)
  assert.match(String(lease.signal.reason), /someone else has it/)
  await pass(600)
  assert.equal(renewals(), 1)
})

test('renewals that fail are tried again until the lease is nearly over', async (t) => {
  const { lease, pass, errors } = keep(t, async () => {
    throw new Error('away')
  })
  await pass(53)
  assert.equal(lease.isLost(), false)
  assert.equal(errors.length, 3)
  await pass(1)
  assert.equal(lease.isLost(), true)
  assert.match(String(lease.signal.reason), /could not be renewed within 60 s/)
})

test('a lease that is renewed no more lasts until what is left of it is over', async (t) => {
  const { lease, pass, renewals } = keep(t, async () => true)
  await pass(50)
  await lease.renewNoMore()
  assert.equal(renewals(), 3)
  await pass(48)
  assert.equal(lease.isLost(), false)
  await pass(1)
  assert.deepEqual([lease.isLost(), renewals()], [true, 3])
})

test('a renewal that hangs loses the lease as well', async (t) => {
  const { lease, pass } = keep(t, () => new Promise(() => {}))
  await pass(54)
  assert.equal(lease.isLost(), true)
})

test('a renewal counts from when it was asked for', async (t) => {
  const answer = Promise.withResolvers<boolean>()
  let asked = 0
  const { lease, pass } = keep(t, () => (++asked === 1 ? answer.promise : new Promise(() => {})))
  await pass(50)
  answer.resolve(true)
  await pass(18)
  assert.equal(lease.isLost(), false)
  await pass(1)
  assert.equal(lease.isLost(), true)
})

test('one renewal that succeeds makes good for those that failed', async (t) => {
  let asked = 0
  const { lease, pass } = keep(t, async () => {
    if (++asked < 3) throw new Error('away')
    return true
  })
  await pass(90)
  assert.equal(lease.isLost(), false)
  await lease.end()
})

test('confirm renews at once, and throws when the lease is lost', async (t) => {
  let ours = true
  const { lease, renewals } = keep(t, async () => ours)
  await lease.confirm()
  assert.equal(renewals(), 1)
  ours = false
  await assert.rejects(lease.confirm(), /someone else has it/)
  await assert.rejects(lease.confirm(), /someone else has it/)
  assert.equal(renewals(), 2)
})

test('the work also stops when its parent does, without the lease being lost', async (t) => {
  const parent = new AbortController()
  const { lease } = keep(t, async () => true, parent.signal)
  parent.abort(new Error('stop'))
  assert.equal(lease.signal.aborted, true)
  assert.equal(lease.isLost(), false)
  await assert.rejects(lease.confirm(), /stop/)
  await lease.end()
})

test('work that does not stop with its parent runs out of its lease', async (t) => {
  const parent = new AbortController()
  const { lease, pass, renewals } = keep(t, async () => true, parent.signal)
  parent.abort(new Error('stop'))
  await pass(54)
  assert.equal(renewals(), 0)
  assert.equal(lease.isLost(), true)
})

test('end waits for a renewal under way', async (t) => {
  const answer = Promise.withResolvers<boolean>()
  const { lease, pass } = keep(t, () => answer.promise)
  await pass(15)
  let ended = false
  const ending = lease.end().then(() => {
    ended = true
  })
  await pass(1)
  assert.equal(ended, false)
  answer.resolve(false)
  await ending
  assert.equal(lease.isLost(), false)
})

function keep(t: TestContext, renew: () => Promise<boolean>, parent = new AbortController().signal) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const errors: unknown[] = []
  let renewals = 0
  const lease = keepLease({
    renew: () => {
      renewals++
      return renew()
    },
    leaseSeconds,
    parent,
    onError: (error) => errors.push(error),
  })
  return {
    lease,
    errors,
    renewals: () => renewals,
    async pass(seconds: number): Promise<void> {
      for (let second = 0; second < seconds; second++) {
        t.mock.timers.tick(1000)
        for (let turn = 0; turn < 10; turn++) await Promise.resolve()
      }
    },
  }
}
