import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createProgressReporter, type Progress } from '../../../../services/consumer/pipeline/progress.ts'

test('what is reported is written at most once a second, the newest of it', async (t) => {
  const { progress, written, pass } = reporter(t)
  progress.report('fetching')
  progress.report('classifying')
  progress.report('composing', 0.1)
  await pass(0)
  assert.deepEqual(stages(written), ['fetching'])
  await pass(999)
  assert.equal(written.length, 1)
  await pass(1)
  assert.deepEqual(stages(written), ['fetching', 'composing'])
  await pass(5000)
  assert.equal(written.length, 2)
  progress.report('storing')
  await pass(0)
  assert.deepEqual(stages(written), ['fetching', 'composing', 'storing'])
  await progress.end()
})

test('progress rises over the stages, and the time left follows from the stage so far', async (t) => {
  const { progress, written, pass } = reporter(t)
  progress.report('fetching')
  await pass(2000)
  progress.report('classifying')
  await pass(2000)
  progress.report('composing')
  await pass(2000)
  progress.report('composing', 0.25)
  await pass(2000)
  progress.report('storing')
  await pass(0)
  const rising = written.map((each) => each.progress)
  assert.deepEqual(
    rising,
    rising.toSorted((a, b) => a - b),
  )
  assert.deepEqual(
    written.map(({ etaSeconds }) => etaSeconds),
    [undefined, undefined, undefined, 6, undefined],
  )
  await progress.end()
})

test('writes do not overlap, however long one takes', async (t) => {
  let under = 0
  let most = 0
  const answer = Promise.withResolvers<void>()
  const { progress, pass } = reporter(t, async () => {
    most = Math.max(most, ++under)
    await answer.promise
    under--
  })
  for (let second = 0; second < 5; second++) {
    progress.report('composing', second / 5)
    await pass(1000)
  }
  assert.equal(most, 1)
  answer.resolve()
  await progress.end()
  assert.equal(most, 1)
})

test('a slow write makes others wait and never queue up, and the end waits for it alone', async (t) => {
  const answers: (() => void)[] = []
  const { progress, written, pass } = reporter(t, () => new Promise((resolve) => answers.push(resolve)))
  for (let second = 0; second < 5; second++) {
    progress.report('composing', second / 5)
    await pass(1000)
  }
  assert.equal(written.length, 1)
  answers[0]!()
  await pass(0)
  await pass(999)
  assert.equal(written.length, 1)
  await pass(1)
  assert.equal(written.length, 2)
  progress.report('storing')
  const ending = progress.end()
  answers[1]!()
  await ending
  await pass(5000)
  assert.equal(written.length, 2)
})

test('a write that fails is heard of and does not stop the next', async (t) => {
  let writes = 0
  const { progress, pass, errors } = reporter(t, async () => {
    writes++
    throw new Error('away')
  })
  progress.report('fetching')
  await pass(1000)
  progress.report('composing')
  await pass(1000)
  assert.equal(writes, 2)
  assert.equal(errors.length, 2)
  await progress.end()
})

test('after the end nothing is written', async (t) => {
  const { progress, written, pass } = reporter(t)
  progress.report('fetching')
  progress.report('classifying')
  await progress.end()
  await pass(5000)
  assert.deepEqual(stages(written), ['fetching'])
})

function reporter(t: TestContext, write: (progress: Progress) => Promise<void> = async () => {}) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const written: Progress[] = []
  const errors: unknown[] = []
  const progress = createProgressReporter({
    write: (latest) => {
      written.push(latest)
      return write(latest)
    },
    onError: (error) => errors.push(error),
    now: () => Date.now(),
  })
  return {
    progress,
    written,
    errors,
    async pass(ms: number): Promise<void> {
      for (let left = ms; left >= 0; left -= 1000) {
        t.mock.timers.tick(Math.min(left, 1000))
        for (let turn = 0; turn < 10; turn++) await Promise.resolve()
      }
    },
  }
}

function stages(written: Progress[]) {
  return written.map(({ stage }) => stage)
}
