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

function kindOf(error: Error) {
  const surfaced = surfacedError(error)
  return {
    conflict: isConflict(error),
    dropped: isDropped(error),
    answer: isAnswer(error),
    away: surfaced instanceof RetryableFailure && surfaced.code === 'DATABASE_UNAVAILABLE',
  }
}

const kinds = {
  conflict: { conflict: true, dropped: false, answer: true, away: true },
  dropped: { conflict: false, dropped: true, answer: false, away: true },
  unavailable: { conflict: false, dropped: false, answer: true, away: true },
  refused: { conflict: false, dropped: false, answer: true, away: false },
}

for (const [kind, what, ...errnos] of [
  ['conflict', 'deadlock, lock wait', 1205, 1213],
  ['conflict', "TiDB's write conflicts, schema changed meanwhile", 8002, 8005, 8022, 8028, 9007],
  ['dropped', 'shutdown, killed, idle too long', 1053, 1317, 1927, 4031],
  ['unavailable', 'disk, table or memory full', 1021, 1030, 1037, 1041, 1114, 1135],
  ['unavailable', 'too many connections or statements', 1040, 1203, 1226],
  ['unavailable', 'access, database, table or column not there', 1044, 1045, 1049, 1054, 1142, 1146],
  ['unavailable', 'read-only', 1290, 1792, 1836],
  ['unavailable', 'a statement took too long', 1969, 3024],
  ['unavailable', 'TiDB has no timestamp, no schema, no memory left', 8120, 8027, 8176],
  ['unavailable', 'quota of a TiDB resource group', 8251, 8252, 8253, 8254],
  ['unavailable', 'storage of TiDB', 9001, 9002, 9003, 9004, 9005, 9008, 9010, 9011],
  ['refused', 'duplicate key, data too long or of another kind', 1062, 1406, 1366],
  // Of the state HY000 too, and the same each time: tried for ever, they were an outage without end.
  ['refused', 'unknown, collations, bad characters, no default, placeholders', 1105, 1267, 1300, 1364, 1390],
  ['refused', 'transaction, row or query too large for TiDB', 8004, 8025, 8175],
] as const) {
  for (const errno of errnos) {
    test(`${errno} is ${kind}: ${what}`, () => assert.deepEqual(kindOf(answer(errno)), kinds[kind]))
  }
}

for (const [name, error, expected] of [
  ['access denied', answer(1045, { fatal: true }), { conflict: false, dropped: false, answer: false, away: true }],
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
  test(`${name}: ${JSON.stringify(expected)}`, () => assert.deepEqual(kindOf(error), expected))
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
