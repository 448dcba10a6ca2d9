import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DrizzleQueryError } from 'drizzle-orm'
import {
  DatabaseRefusal,
  driverError,
  isAnswer,
  isConflict,
  isDropped,
  surfacedError,
} from '#shared/db/database-error.ts'
import { RetryableFailure } from '#shared/failure.ts'

const answer = (errno: number, more = {}) => Object.assign(new Error('said'), { errno, sqlState: 'HY000', ...more })
const broken = (more: object) => Object.assign(new Error('broken'), more)

for (const [name, error, expected] of [
  ['deadlock', answer(1213), { conflict: true, dropped: false, answer: true, away: true }],
  ['TiDB write conflict', answer(9007), { conflict: true, dropped: false, answer: true, away: true }],
  ['TiDB write conflict by its latches', answer(8005), { conflict: true, dropped: false, answer: true, away: true }],
  ['TiDB schema out of date', answer(8027), { conflict: false, dropped: false, answer: true, away: true }],
  ['data too long', answer(1406), { conflict: false, dropped: false, answer: true, away: false }],
  ['duplicate key', answer(1062), { conflict: false, dropped: false, answer: true, away: false }],
  ['column missing', answer(1054), { conflict: false, dropped: false, answer: true, away: true }],
  ['tables missing', answer(1146), { conflict: false, dropped: false, answer: true, away: true }],
  ['disk full', answer(1021), { conflict: false, dropped: false, answer: true, away: true }],
  ['table full', answer(1114), { conflict: false, dropped: false, answer: true, away: true }],
  ['access denied', answer(1045, { fatal: true }), { conflict: false, dropped: false, answer: false, away: true }],
  ['server shuts down', answer(1053), { conflict: false, dropped: true, answer: false, away: true }],
  [
    'connection lost',
    broken({ fatal: true, code: 'PROTOCOL_CONNECTION_LOST' }),
    { conflict: false, dropped: true, answer: false, away: true },
  ],
  [
    'reset',
    broken({ fatal: true, code: 'ECONNRESET', errno: -104, syscall: 'read' }),
    { conflict: false, dropped: true, answer: false, away: true },
  ],
  [
    'refused',
    broken({ fatal: true, code: 'ECONNREFUSED', errno: -111, syscall: 'connect' }),
    { conflict: false, dropped: false, answer: false, away: true },
  ],
  ['a mistake in our code', new TypeError('x'), { conflict: false, dropped: false, answer: false, away: false }],
] as const) {
  test(`${name}: ${JSON.stringify(expected)}`, () => {
    const surfaced = surfacedError(error)
    assert.deepEqual(
      {
        conflict: isConflict(error),
        dropped: isDropped(error),
        answer: isAnswer(error),
        away: surfaced instanceof RetryableFailure && surfaced.code === 'DATABASE_UNAVAILABLE',
      },
      expected,
    )
  })
}

test("drizzle's error, which repeats the statement with its values, is not what callers see", () => {
  const error = new DrizzleQueryError('insert ...', ['a secret value'], answer(1406))
  const surfaced = surfacedError(driverError(error))
  assert.ok(surfaced instanceof DatabaseRefusal)
  assert.equal(surfaced.message, 'The database refused a statement: said')
  assert.doesNotMatch(String((surfaced.cause as Error).stack), /a secret value/)
})

for (const [name, error, aboutData] of [
  ['data too long', answer(1406, { sqlState: '22001' }), true],
  ['text that is no text, in MySQL', answer(1366), true],
  ['an error nobody has heard of', answer(1105), false],
  ['a statement the server does not know', answer(1064, { sqlState: '42000' }), false],
] as const) {
  test(`${name} is ${aboutData ? '' : 'not '}a fault of what the statement says`, () => {
    const surfaced = surfacedError(error)
    assert.ok(surfaced instanceof DatabaseRefusal)
    assert.equal(surfaced.isAboutData, aboutData)
  })
}
