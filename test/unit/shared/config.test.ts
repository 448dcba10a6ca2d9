import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError, readConfig } from '#shared/config.ts'
import { settings } from '#shared/contract/setting.ts'

test('settings are converted, checked and defaulted; an empty variable counts as absent', () => {
  const config = readConfig(['BUCKET', 'PORT', 'GRACE_SECONDS', 'AWS_ENDPOINT_URL', 'LOG_LEVEL'], {
    BUCKET: ' pictures ',
    PORT: '0',
    GRACE_SECONDS: '2.5',
    AWS_ENDPOINT_URL: '',
    UNRELATED: 'x',
  })
  assert.deepEqual(config, { BUCKET: 'pictures', PORT: 0, GRACE_SECONDS: 2.5, LOG_LEVEL: 'info' })
})

test('every setting says what it is, for the faults that name it', () => {
  const silent = Object.entries(settings).filter(([, schema]) => !('description' in schema))
  assert.deepEqual(silent, [])
})

test('every fault is reported at once, and no value is repeated', () => {
  const faults = faultsOf(
    () =>
      readConfig(['BUCKET', 'QUEUE_URL', 'PORT', 'BATCH_SIZE', 'LOG_LEVEL', 'DATABASE_URL', 'AUTH'], {
        QUEUE_URL: 'sqs.example',
        PORT: '80 80',
        BATCH_SIZE: '2.5',
        LOG_LEVEL: 'loud',
        DATABASE_URL: 'postgres://user:hunter2@host/db',
        AUTH: 'off',
      }),
    /hunter2|loud|80 80|sqs\.example/,
  )
  assert.deepEqual(
    faults.map((fault) => fault.split(' ')[0]),
    ['BUCKET', 'QUEUE_URL', 'PORT', 'BATCH_SIZE', 'LOG_LEVEL', 'DATABASE_URL', 'AUTH'],
  )
  assert.match(faults[0]!, /is missing: Pictures come in/)
  assert.match(faults[2]!, /must be integer: Port to listen on/)
  assert.match(faults[4]!, /must be one of trace, debug, info/)
  assert.match(faults[6]!, /must be none/)
})

for (const [host, loopback] of [
  ['127.0.0.1:3306', true],
  ['localhost', true],
  ['[::1]:4000', true],
  ['tidb.example:4000', false],
  ['127.0.0.1.example', false],
] as const) {
  test(`a database on ${host} ${loopback ? 'may' : 'must not'} be used without TLS`, () => {
    const read = () =>
      readConfig(['DATABASE_URL', 'DATABASE_TLS'], { DATABASE_URL: `mysql://u:p@${host}/db`, DATABASE_TLS: 'off' })
    if (loopback) assert.equal(read().DATABASE_TLS, 'off')
    else assert.match(faultsOf(read, /u:p/)[0]!, /^DATABASE_TLS must not be off/)
  })
}

test('an API without keys must say that it is open', () => {
  assert.match(faultsOf(() => readConfig(['AUTH', 'API_KEYS'], {}), /^$/)[0]!, /^API_KEYS is missing/)
  assert.deepEqual(readConfig(['AUTH', 'API_KEYS'], { AUTH: 'none' }), { AUTH: 'none' })
})

test('a service may do without a setting that others need, and the two queues are not one', () => {
  const QUEUE_URL = 'http://sqs.example/1/uploads'
  const read = (env: object) => readConfig(['QUEUE_URL'], { QUEUE_URL, ...env }, ['DLQ_URL'])
  assert.deepEqual(read({}), { QUEUE_URL })
  assert.equal(read({ DLQ_URL: `${QUEUE_URL}-dlq` }).DLQ_URL, `${QUEUE_URL}-dlq`)
  assert.match(faultsOf(() => read({ DLQ_URL: 'sqs' }), /^$/)[0]!, /^DLQ_URL must match/)
  assert.match(faultsOf(() => read({ DLQ_URL: QUEUE_URL }), /example/)[0]!, /^DLQ_URL is the same as QUEUE_URL/)
})

function faultsOf(read: () => unknown, never: RegExp): readonly string[] {
  try {
    read()
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    assert.doesNotMatch(error.message, never)
    return error.faults
  }
  assert.fail('the settings were accepted')
}
