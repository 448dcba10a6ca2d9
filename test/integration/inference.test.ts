import assert from 'node:assert/strict'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { RetryableFailure } from '#shared/failure.ts'
import { type Inference, startInference } from '../../services/consumer/onnx/inference.ts'
import { buildTinyModels, tinyInference } from '../tiny-models.ts'

const silent = tinyInference.logger
const clip = { prompt: 'a slow baroque sarabande for harpsichord', seed: 7, seconds: 10 }
const forever = { signal: new AbortController().signal, onProgress() {} }

let modelDir: string
let options: Parameters<typeof startInference>[0]

before(async () => {
  modelDir = await buildTinyModels()
  options = { ...tinyInference, modelDir, batchSize: 4, batchWaitMs: 50 }
})

after(() => rm(modelDir, { recursive: true }))

async function withInference(
  overrides: Partial<typeof options>,
  body: (inference: Inference, pids: number[]) => Promise<void>,
): Promise<void> {
  const pids: number[] = []
  const logger = { ...silent, info: (fields: { pid?: number }) => fields.pid && pids.push(fields.pid) }
  const inference = await startInference({ ...options, logger, ...overrides })
  try {
    await body(inference, pids)
  } finally {
    await inference.close()
  }
}

test('ten seconds of music, the same for the same seed, other for another seed or prompt', async () => {
  await withInference({}, async ({ compose }) => {
    const fractions: number[] = []
    const first = await compose(clip, { ...forever, onProgress: (fraction) => fractions.push(fraction) })
    assert.deepEqual(
      first.map((track) => track.length),
      [320_000],
    )
    assert.ok(first[0]!.every(Number.isFinite))
    assert.ok(
      first[0]!.some((sample) => Math.abs(sample) > 0.01),
      'silent',
    )
    assert.deepEqual(fractions, fractions.toSorted())
    assert.equal(fractions.at(-1), 1)
    assert.deepEqual(await compose(clip, forever), first)
    assert.notDeepEqual(await compose({ ...clip, seed: 8 }, forever), first)
    assert.notDeepEqual(await compose({ ...clip, prompt: 'angular jazz' }, forever), first)
  })
})

test('the process is started with what ONNX Runtime does well with, and what was set before stands', async () => {
  const environment = async (env: NodeJS.ProcessEnv) => {
    let found: string[] = []
    await withInference({ env }, async (_, pids) => {
      found = (await readFile(`/proc/${pids[0]}/environ`, 'utf8')).split('\0')
    })
    return found
  }
  const made = await environment({})
  assert.ok(made.includes('ORT_DISABLE_TELEMETRY=1'))
  assert.ok(made.some((line) => line.startsWith('GLIBC_TUNABLES=') && line.includes('glibc.malloc.hugetlb=1')))
  assert.ok((await environment({ GLIBC_TUNABLES: 'own' })).includes('GLIBC_TUNABLES=own'))
})

test('a prompt may be empty, enormous or in any script, and a clip as short as one frame', async () => {
  await withInference({}, async ({ compose }) => {
    for (const prompt of ['', 'largo '.repeat(5000), '느린 왈츠', '🎻🎹', '\u0000']) {
      const [track] = await compose({ prompt, seed: 1, seconds: 0.02 }, forever)
      assert.equal(track!.length, 640)
    }
  })
})

test('the log says of a prompt that is too long that its end is not heard', async () => {
  const warnings: object[] = []
  const warn = (fields: object, message: string) => warnings.push({ ...fields, message })
  await withInference({ logger: { ...silent, warn } }, async ({ compose }) => {
    await compose({ prompt: 'largo', seed: 1, seconds: 0.02 }, forever)
    await compose({ prompt: 'largo '.repeat(5000), seed: 2, seconds: 0.02 }, forever)
  })
  assert.deepEqual(warnings, [{ seed: 2, message: 'only the first 512 tokens of the prompt are heard' }])
})

test('clips of a batch are the same as alone, whatever their lengths and prompts', async () => {
  await withInference({}, async ({ compose }) => {
    const clips = [
      { prompt: 'largo', seed: 1, seconds: 10 },
      { prompt: 'a fast and cheerful polka for two accordions and a tuba', seed: 2, seconds: 0.02 },
      { prompt: 'organ', seed: 3, seconds: 3.3 },
    ]
    const order: number[] = []
    const together = await Promise.all(
      clips.map((each) => compose(each, forever).then((pcm) => [pcm, order.push(each.seed)] as const)),
    )
    assert.deepEqual(order, [2, 3, 1])
    for (const [index, each] of clips.entries()) assert.deepEqual(together[index]![0], await compose(each, forever))
  })
})

test('one clip of a batch is given up without the others', async () => {
  await withInference({}, async ({ compose }) => {
    const controller = new AbortController()
    const given = compose({ ...clip, seed: 1 }, { signal: controller.signal, onProgress: () => controller.abort() })
    const kept = compose({ ...clip, seed: 2 }, forever)
    await assert.rejects(given, { name: 'AbortError' })
    assert.deepEqual(await kept, await compose({ ...clip, seed: 2 }, forever))
  })
})

test('a clip of an impossible length is refused and leaves the next alone', async () => {
  await withInference({}, async ({ compose }) => {
    await assert.rejects(compose({ ...clip, seconds: 31 }, forever), { message: 'a clip lasts 0.02 to 30 s; found 31' })
    await compose({ ...clip, seconds: 1 }, forever)
  })
})

test('pictures are classified while a composition runs', async () => {
  await withInference({}, async ({ classify, compose, classifierManifest }) => {
    const { crop } = classifierManifest.classifier.graphs[0]!.image
    let composed = false
    const composing = compose(clip, forever).then(() => {
      composed = true
    })
    const { genre, styles } = await classify([new Float32Array(3 * crop * crop).fill(0.5)], forever)
    assert.equal(composed, false)
    assert.ok(genre.score > 0 && genre.score <= 1)
    assert.equal(styles.length, 5)
    await composing
  })
})

test('an aborted composition rejects at once and leaves the process free for the next', async () => {
  await withInference({}, async ({ compose }) => {
    const controller = new AbortController()
    const reason = new Error('lease lost')
    const onProgress = () => controller.abort(reason)
    await assert.rejects(compose(clip, { signal: controller.signal, onProgress }), reason)
    await assert.rejects(compose(clip, { ...forever, signal: controller.signal }), reason)
    assert.equal((await compose({ ...clip, seconds: 1 }, forever))[0]!.length, 32_000)
  })
})

test('a process that dies is replaced; what it owed fails as retryable', async () => {
  await withInference({}, async ({ compose }, pids) => {
    const kill = new AbortController()
    kill.signal.addEventListener('abort', () => process.kill(pids[0]!, 'SIGKILL'))
    const onProgress = () => kill.abort()
    await assert.rejects(compose(clip, { ...forever, onProgress }), (error: unknown) => {
      assert.ok(error instanceof RetryableFailure)
      assert.match(error.message, /SIGKILL/)
      return true
    })
    await compose({ ...clip, seconds: 1 }, forever)
    assert.equal(pids.length, 2, 'what is asked before there is another waits for it')
  })
})

test('a process that was killed and is asked before that is known is lost by the signal, and what was asked is nobody’s failure', async () => {
  const reasons: string[] = []
  const pids: number[] = []
  const info = ({ pid }: { pid?: number }) => pids.push(pid!)
  const logger = { ...silent, info, error: ({ reason }: { reason?: string }) => reasons.push(reason!) }
  await withInference({ logger }, async ({ compose }) => {
    process.kill(pids[0]!, 'SIGKILL')
    // Nothing is heard while this thread waits.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
    await assert.rejects(compose(clip, forever), { code: 'MODEL_UNAVAILABLE' })
    await retry(() => compose({ ...clip, seconds: 1 }, forever))
    assert.deepEqual(reasons, ['the inference process ended (SIGKILL)'])
  })
})

test('what waits for another process fails as retryable when there will be none', async () => {
  let left: Promise<unknown> | undefined
  await withInference({ maxGenerationSeconds: 1 }, async ({ compose }, pids) => {
    process.kill(pids[0]!, 'SIGSTOP')
    await assert.rejects(compose(clip, forever), RetryableFailure)
    left = assert.rejects(compose(clip, forever), { code: 'MODEL_UNAVAILABLE', message: 'inference is closed' })
  })
  await left
})

test('a process that hangs is killed and replaced', async () => {
  await withInference({ maxGenerationSeconds: 1 }, async ({ compose }, pids) => {
    process.kill(pids[0]!, 'SIGSTOP')
    await assert.rejects(compose(clip, forever), RetryableFailure)
    await retry(() => compose({ ...clip, seconds: 1 }, forever))
  })
})

test('a process whose only work was given up is left alive', async () => {
  await withInference({ maxGenerationSeconds: 1 }, async ({ compose, classify, classifierManifest }, pids) => {
    const controller = new AbortController()
    const given = compose(clip, { signal: controller.signal, onProgress() {} })
    controller.abort()
    await assert.rejects(given, { name: 'AbortError' })
    await sleep(1500)
    const { crop } = classifierManifest.classifier.graphs[0]!.image
    await classify([new Float32Array(3 * crop * crop)], forever)
    assert.equal(pids.length, 1)
  })
})

test('a stop cuts the loading of models off', async () => {
  const controller = new AbortController()
  const starting = startInference({ ...options, signal: controller.signal })
  setImmediate(() => controller.abort())
  await assert.rejects(starting, { name: 'AbortError' })
})

test('a missing model is one line that names the command to run', async () => {
  await assert.rejects(startInference({ ...options, musicModel: 'musicgen-medium' }), {
    message:
      `model musicgen-medium is not in ${modelDir}; run: npm run models -- pull musicgen-medium --dir ${modelDir}` +
      ` && npm run models -- build musicgen-medium --dir ${modelDir}`,
  })
})

test('a provider that cannot load the models gives way to the next, once and for all, with the reason', async () => {
  const falls: object[] = []
  const pids: number[] = []
  const info = ({ pid }: { pid?: number }) => pids.push(pid!)
  const logger = { ...silent, info, warn: (fields: object) => falls.push(fields) }
  await withInference({ executionProviders: ['nosuch', 'cpu'], logger }, async ({ compose, executionProviders }) => {
    assert.deepEqual(executionProviders(), ['cpu'])
    const [fall] = falls as { from: string; to: string; reason: string }[]
    assert.deepEqual([falls.length, fall!.from, fall!.to], [1, 'nosuch', 'cpu'])
    assert.match(fall!.reason, /backend not found/)
    process.kill(pids[0]!, 'SIGKILL')
    const [track] = await retry(() => compose({ ...clip, seconds: 0.1 }, forever))
    assert.equal(track!.length, 3200)
    assert.deepEqual([pids.length, falls.length], [2, 1])
  })
})

test('where none of the providers can load the models, one line says why of each', async () => {
  await assert.rejects(
    startInference({ ...options, executionProviders: ['nosuch', 'other'] }),
    /^RetryableFailure: no provider of EXECUTION_PROVIDERS=nosuch,other can load the models; nosuch: .*; other: .*$/,
  )
})

test('a broken tokenizer is named, and no provider blamed for it', async () => {
  const path = join(modelDir, tinyInference.musicModel, 'tokenizer.json')
  const whole = await readFile(path, 'utf8')
  await writeFile(path, 'x'.repeat(Buffer.byteLength(whole)))
  try {
    await assert.rejects(startInference({ ...options, executionProviders: ['nosuch', 'cpu'] }), ({ message }) => {
      assert.ok(message.startsWith(`${path}: Unexpected token 'x'`), message)
      return true
    })
  } finally {
    await writeFile(path, whole)
  }
})

test('CUDA is used, or what it wants for is named', async () => {
  const reasons: string[] = []
  const logger = { ...silent, warn: ({ reason }: { reason?: string }) => reasons.push(reason!) }
  await withInference({ executionProviders: ['cuda', 'cpu'], logger }, async ({ executionProviders }) => {
    const usesCuda = executionProviders()[0] === 'cuda'
    assert.equal(reasons.length, usesCuda ? 0 : 1)
    for (const reason of reasons) assert.match(reason, /^[^\n]*(\.so|CUDA|backend not found)[^\n]*$/)
  })
})

/** Until a process is there that answers in time. */
async function retry<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof RetryableFailure) || attempt === 50) throw error
      await sleep(100)
    }
  }
}
