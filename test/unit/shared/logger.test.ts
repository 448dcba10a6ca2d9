import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { test } from 'node:test'
import { createLogger, imageLogger } from '#shared/logger.ts'

test('a line carries the service, the image key and the message id', () => {
  const { logger, lines } = captured()
  imageLogger(logger, { key: 'uploads/그림.jpg', messageId: 'm-1' }).info('claimed')
  const { time, pid, ...line } = lines()[0]!
  assert.match(String(time), /^\d{4}-\d\d-\d\dT/)
  assert.equal(pid, process.pid)
  assert.deepEqual(line, {
    level: 'info',
    service: 'test',
    image_key: 'uploads/그림.jpg',
    message_id: 'm-1',
    msg: 'claimed',
  })
})

test('an error is written with its chain of causes and without fields that drivers hang on it', () => {
  const { logger, lines } = captured()
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', sql: 'select secret' })
  const error = new Error('the job could not be claimed', {
    cause: new AggregateError([refused], 'no address answered'),
  })
  logger.error({ err: error }, 'failed')
  const { err } = lines()[0]! as { err: { message: string; stack: string; cause: { errors: object[] } } }
  assert.equal(err.message, 'the job could not be claimed')
  assert.match(err.stack, /logger\.test/)
  const { stack: _, ...inner } = err.cause.errors[0] as { stack: string }
  assert.deepEqual(inner, { type: 'Error', message: 'connect ECONNREFUSED', code: 'ECONNREFUSED' })
})

test('an error that is its own cause is cut off', () => {
  const { logger, lines } = captured()
  const error: Error = new Error('round')
  error.cause = error
  logger.error({ err: error }, 'failed')
  assert.equal(lines().length, 1)
})

test('secrets are redacted wherever they stand', () => {
  const { logger, text } = captured()
  const url = 'mysql://user:hunter2@db.example:4000/promenade'
  logger.info({ url, headers: { authorization: 'Basic aHVudGVyMg==' }, api_keys: 'k"hunter2' }, `using ${url}`)
  logger.info(
    'https://b.s3.amazonaws.com/uploads/a.jpg?X-Amz-Signature=hunter2&x-amz-credential=hunter2%2F2&X-Amz-Date=1',
  )
  logger.error({ err: new Error(`cannot reach ${url} with Bearer hunter2`, { cause: new Error(url) }) }, 'failed')
  logger.info({ url: 'mysql://user:p@ss@hunter2@db.example/x' }, 'a password with an at sign')
  const credentials = { secretAccessKey: 'hunter2', sessionToken: 'hunter2', db_password: 'hunter2' }
  logger.info({ credentials, headers: { 'x-amz-security-token': 'hunter2', 'x-api-key': 'hunter2' } }, 'sent')
  logger.info('signed with whsec_aHVudGVyMg+/==')
  assert.doesNotMatch(text(), /hunter2|aHVudGVyMg/)
  assert.match(text(), /mysql:\/\/\*\*\*@db\.example:4000\/promenade/)
  assert.match(text(), /X-Amz-Date=1/)
  for (const line of text().trim().split('\n')) JSON.parse(line)
})

test('a disk that is full stops nobody who logs', () => {
  const program = `
    import { createLogger } from '#shared/logger.ts'
    const logger = createLogger({ level: 'info', service: 'test' })
    for (let line = 0; line < 20_000; line++) logger.info('x'.repeat(200))
    logger.fatal('the last')
    console.error(process.memoryUsage().rss < 2 ** 28 ? 'done' : 'kept everything')
  `
  const full = openSync('/dev/full', 'w')
  const args = ['--input-type=module', '--eval', program]
  const { status, stderr } = spawnSync(process.execPath, args, { stdio: ['ignore', full, 'pipe'], encoding: 'utf8' })
  closeSync(full)
  assert.deepEqual([status, stderr], [0, 'done\n'])
})

function captured() {
  const written: string[] = []
  const logger = createLogger({
    level: 'info',
    service: 'test',
    destination: { write: (line: string) => written.push(line) },
  })
  return {
    logger,
    text: () => written.join(''),
    lines: () => written.map((line) => JSON.parse(line) as Record<string, unknown>),
  }
}
