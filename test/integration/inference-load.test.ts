import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { type Inference, startInference } from '../../services/consumer/onnx/inference.ts'
import { buildTinyModels, tinyInference } from '../tiny-models.ts'

const forever = { signal: new AbortController().signal, onProgress() {} }

let modelDir: string
let inference: Inference
let pid: number

before(async () => {
  modelDir = await buildTinyModels()
  inference = await startInference({
    ...tinyInference,
    modelDir,
    maxGenerationSeconds: 600,
    logger: {
      info(fields: { pid?: number }) {
        pid = fields.pid ?? pid
      },
      warn() {},
      error() {},
    },
  })
})

after(async () => {
  await inference.close()
  await rm(modelDir, { recursive: true })
})

/**
 * By the second quarter, garbage has reached its usual amount. From its middle to that of the last quarter there are 100
 * generations: were their samples kept, it would be 51 MB more.
 */
test('200 generations leave the memory of the inference process flat', async () => {
  const megabytes: number[] = []
  for (let seed = 0; seed < 200; seed++) {
    await inference.compose({ prompt: `slow piano ${seed}`, seed, seconds: 4 }, forever)
    megabytes.push(await residentMegabytes(pid))
  }
  const [second, last] = [median(megabytes.slice(50, 100)), median(megabytes.slice(150))]
  assert.ok(last - second < 25, `grew from ${second} to ${last} MB: ${megabytes}`)
})

/** Were the graphs run here, the loop would be busy all the time and stand still for every one of the clip's 30 chunks. */
test('a generation never holds up the consumer', async () => {
  const delay = monitorEventLoopDelay({ resolution: 5 })
  const begun = performance.now()
  const utilization = performance.eventLoopUtilization()
  delay.enable()
  await inference.compose({ prompt: 'slow piano', seed: 1, seconds: 30 }, forever)
  delay.disable()
  const milliseconds = performance.now() - begun
  assert.ok(performance.eventLoopUtilization(utilization).utilization < 0.5)
  const typical = delay.percentile(50) / 1e6
  assert.ok(typical < milliseconds / 100, `${typical} ms at a time, of ${milliseconds} ms`)
})

async function residentMegabytes(process: number): Promise<number> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(process)])
  return Math.round(Number(stdout) / 1024)
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}
