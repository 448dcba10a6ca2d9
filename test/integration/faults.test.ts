import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { createConsumerSlot } from '../faults/consumer.ts'
import { services } from '../faults/plan.ts'
import { runScenario } from '../faults/scenario.ts'
import { drawPicture } from '../picture.ts'
import { buildTinyModels } from '../tiny-models.ts'

let stack: Stack
let modelDir: string
let logDir: string

before(async () => {
  ;[stack, modelDir, logDir] = await Promise.all([
    startStack(),
    buildTinyModels(),
    mkdtemp(join(tmpdir(), 'promenade-test-')),
  ])
})

after(async () => {
  await stack?.close()
  for (const folder of [modelDir, logDir]) await rm(folder, { recursive: true })
})

for (const service of services) {
  test(`while ${service} hangs, SIGTERM ends a consumer in the midst of work in time and with status 0`, async () => {
    const violations: string[] = []
    const slot = await createConsumerSlot({
      name: service,
      env: { ...stack.env, MODEL_DIR: modelDir, MUSIC_SECONDS: '30', LEASE_SECONDS: '10' },
      graceSeconds: 2,
      logDir,
      onViolation: (what) => violations.push(what),
    })
    try {
      await slot.start()
      const Body = await drawPicture(1).jpeg().toBuffer()
      for (const index of [1, 2, 3, 4]) {
        await stack.s3.send(
          new PutObjectCommand({ Bucket: stack.env.BUCKET, Key: `uploads/${service} ${index}`, Body }),
        )
      }
      await sleep(700)
      slot.partition(service, 'hang')
      await sleep(300)
      await slot.terminate()
    } finally {
      await slot.close()
    }
    assert.deepEqual(violations, [])
  })
}

test('a short run of every kind of fault loses nothing and does nothing twice', async () => {
  const said: string[] = []
  const report = await runScenario({ scenario: 'chaos', seconds: 10, seed: 1, say: (line) => said.push(line) })
  assert.deepEqual(report.violations, [], said.join('\n'))
  assert.ok(report.succeeded > 0 && Object.keys(report.failed).length > 0)
  assert.deepEqual([report.duplicates, report.lost], [0, 0])
})
