import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Aws } from 'aws-cdk-lib'
import { settings } from '#shared/contract/setting.ts'
import { namesOf } from '../../cdk/resource-names.ts'
import template from '../../cdk/runpod-template.json' with { type: 'json' }
import { readStage } from '../../cdk/stage.ts'
import { runpodSecret, workerEnvironment } from '../../cdk/worker-environment.ts'

const stage = { ...readStage('staging'), account: '123456789012' }

test('a pod of the template is what the scaler orders', () => {
  const { TRUST_ANCHOR_ARN, PROFILE_ARN, ROLE_ARN } = template.env
  const environment = workerEnvironment(stage, namesOf(stage), {
    // Known when they are deployed.
    TRUST_ANCHOR_ARN,
    PROFILE_ARN,
    ROLE_ARN,
    WORKER_CERTIFICATE: runpodSecret(stage, 'certificate'),
    WORKER_PRIVATE_KEY: runpodSecret(stage, 'private_key'),
  })
  const onAws = (value: string) => value.replace(Aws.URL_SUFFIX, 'amazonaws.com')
  assert.deepEqual(
    template.env,
    Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, onAws(value)])),
  )
  const { image, disk_gb: disk } = stage.worker
  assert.deepEqual({ image: template.image, disk: template.disk, ports: template.ports }, { image, disk, ports: [] })
})

test('it asks for hosts with the CUDA that the stage asks for, or a newer one', () => {
  const [lowest, ...rest] = template.allowedCudaVersions.map(Number)
  assert.equal(lowest, Number(stage.scaler.min_cuda))
  for (const version of rest) assert.ok(version > lowest!)
})

test('what it sets are settings, and its secrets are named, not said', () => {
  for (const [name, value] of Object.entries(template.env)) {
    assert.ok(name in settings, `${name} is a setting`)
    if (/^(DATABASE_URL|WORKER_\w+)$/.test(name)) {
      assert.match(value, /^\{\{ RUNPOD_SECRET_promenade_staging_\w+ \}\}$/)
    }
  }
})
