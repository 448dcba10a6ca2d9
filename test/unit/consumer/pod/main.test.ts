import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const entry = fileURLToPath(new URL('../../../../services/consumer/pod/main.ts', import.meta.url))
const settings = {
  AWS_REGION: 'eu-west-1',
  BUCKET: 'pictures',
  QUEUE_URL: 'http://127.0.0.1:9/1/uploads',
  DLQ_URL: 'http://127.0.0.1:9/1/uploads-dlq',
  DATABASE_URL: 'mysql://user@127.0.0.1:9/promenade',
  DATABASE_TLS: 'off',
  // Nothing can be made in it.
  MODEL_DIR: '/dev/null/models',
}

for (const [wrong, fault] of [
  [{ DATABASE_URL: 'mysql://user@127.0.0.1' }, /DATABASE_URL names no database/],
  [{ DATABASE_URL: 'mysql://us%er@127.0.0.1/promenade' }, /DATABASE_URL has a "%"/],
  [{ DATABASE_CA: '/nowhere/ca.pem' }, /DATABASE_CA names a file that cannot be read/],
  [{ PROMPT_FILE: '/nowhere/prompt.json' }, /PROMPT_FILE must name a file of JSON/],
  [{ PROMPT_FILE: fileURLToPath(new URL('../../../../package.json', import.meta.url)) }, /PROMPT_FILE: the file must /],
] as const) {
  test(`a pod is told of ${Object.entries(wrong).join()} before it makes models`, () => {
    const { status, stderr } = spawnSync(process.execPath, [entry], {
      env: { ...settings, ...wrong },
      encoding: 'utf8',
      timeout: 30_000,
    })
    assert.match(stderr, fault)
    assert.doesNotMatch(stderr, /models/)
    assert.equal(status, 2)
  })
}
