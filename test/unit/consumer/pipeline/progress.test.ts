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

test('a job that composes and has nothing new to say is checked each second, and only then', async (t) => {
  const { progress, written, checks, pass } = reporter(t)
  progress.report('classifying')
  await pass(5000)
  assert.equal(checks(), 0)
  progress.report('composing')
  await pass(0)
  await pass(999)
  assert.deepEqual([stages(written), checks()], [['classifying', 'composing'], 0])
  await pass(1)
  assert.equal(checks(), 1)
  await pass(3000)
  assert.deepEqual([written.length, checks()], [2, 4])
  await pass(500)
  progress.report('composing', 0.5)
  await pass(0)
  assert.deepEqual([written.length, checks()], [3, 4], 'what is new is written at once')
  await pass(999)
  assert.equal(checks(), 4)
  await pass(1)
  assert.equal(checks(), 5)
  progress.report('storing')
  await pass(5000)
  assert.deepEqual([written.length, checks()], [4, 5])
  await progress.end()
})

test('work that goes on after it was to end is checked no more', async (t) => {
  const { progress, checks, stop, pass } = reporter(t)
  progress.report('composing')
  await pass(0)
  await pass(2000)
  assert.equal(checks(), 2)
  stop()
  await pass(5000)
  assert.equal(checks(), 2)
  await progress.end()
})

test('a check that is slow is the only one, and what is new meanwhile follows it; one that fails is heard of', async (t) => {
  const answers: PromiseWithResolvers<void>[] = []
  const check = () => {
    answers.push(Promise.withResolvers())
    return answers.at(-1)!.promise
  }
  const { progress, written, errors, pass } = reporter(t, undefined, check)
  progress.report('composing')
  await pass(5000)
  progress.report('composing', 0.5)
  await pass(1000)
  assert.deepEqual([written.length, answers.length], [1, 1])
  answers[0]!.reject(new Error('away'))
  await pass(0)
  assert.deepEqual([written.length, errors.length], [2, 1])
  await pass(1000)
  assert.equal(answers.length, 2)
  const ending = progress.end()
  answers[1]!.resolve()
  await ending
  await pass(5000)
  assert.deepEqual([written.length, answers.length], [2, 2])
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

function reporter(
  t: TestContext,
  write: (progress: Progress) => Promise<void> = async () => {},
  check: () => Promise<void> = async () => {},
) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const written: Progress[] = []
  const errors: unknown[] = []
  let checks = 0
  const stopping = new AbortController()
  const progress = createProgressReporter({
    write: (latest) => {
      written.push(latest)
      return write(latest)
    },
    check: () => {
      checks++
      return check()
    },
    signal: stopping.signal,
    onError: (error) => errors.push(error),
    now: () => Date.now(),
  })
  return {
    progress,
    written,
    errors,
    checks: () => checks,
    stop: () => stopping.abort(),
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
