import { DrizzleQueryError } from 'drizzle-orm'
import { RetryableFailure } from '../failure.ts'

/** The database is there, and does not take a statement for what it says. */
export class DatabaseRefusal extends Error {
  override name = 'DatabaseRefusal'

  /** False where it may be the statement itself, or the server, that is at fault. 1366 has no class of its own in MySQL. */
  get isAboutData(): boolean {
    const { errno, sqlState = '' } = this.cause as DriverError
    return sqlState.startsWith('22') || errno === 1366
  }

  /** A row with the same unique key is there already. */
  get isDuplicate(): boolean {
    return (this.cause as DriverError).errno === 1062
  }
}

/** What the driver's own errors carry; `errno` and `sqlState` come from the server. */
interface DriverError extends Error {
  code?: string
  errno?: number
  sqlState?: string
  /** Set by mysql2 when the connection is gone. */
  fatal?: boolean
  syscall?: string
}

/** The transaction was undone because of another; the same again may succeed. 8002 to 9007 are TiDB's. */
const conflicts = new Set([1205, 1213, 8002, 8005, 8022, 8028, 9007])

/** The server ended a connection: shutdown, killed, or idle too long (1927 is MariaDB's, 4031 MySQL's). */
const dropped = new Set([1053, 1317, 1927, 4031])

/**
 * The server is there and does not serve: too many connections, access or database not (or no longer) granted,
 * tables or columns not yet migrated, read-only during a failover, statement time limits, disk, table or memory full; of
 * TiDB its schema out of date, no timestamps, the server's memory or a resource group's quota used up, its storage away or
 * busy. Not all of the state HY000: much of it is about the statement, and fails each time.
 */
const unavailable = new Set([
  1021, 1030, 1037, 1040, 1041, 1044, 1045, 1049, 1054, 1114, 1135, 1142, 1146, 1203, 1226, 1290, 1792, 1836, 1969,
  3024, 8027, 8120, 8176, 8251, 8252, 8253, 8254, 9001, 9002, 9003, 9004, 9005, 9008, 9010, 9011,
])

/** How mysql2's pool itself refuses; these errors have no code. */
const poolRefusals = new Set(['Queue limit reached.', 'Pool is closed.'])

/** The driver's error beneath drizzle's, whose message repeats the statement with all its values. */
export function driverError(error: unknown): DriverError {
  const cause = error instanceof DrizzleQueryError ? error.cause : error
  return cause instanceof Error ? cause : new Error(String(cause))
}

export function isConflict({ errno }: DriverError): boolean {
  return errno !== undefined && conflicts.has(errno)
}

/** An established connection was lost, so the fate of its statement is unknown. */
export function isDropped({ errno, sqlState, fatal, syscall }: DriverError): boolean {
  if (sqlState !== undefined) return dropped.has(errno ?? 0)
  return fatal === true && syscall !== 'connect' && syscall !== 'getaddrinfo'
}

/** Whether the connection may go back to the pool: only when the server itself has answered, in full. */
export function isAnswer({ sqlState, fatal, errno }: DriverError): boolean {
  return sqlState !== undefined && !fatal && !dropped.has(errno ?? 0)
}

/**
 * What callers see: RetryableFailure DATABASE_UNAVAILABLE when the database cannot be used at present, DatabaseRefusal
 * when it refuses a statement, otherwise the error as it was.
 */
export function surfacedError(error: DriverError): Error {
  const { errno = 0, sqlState, fatal, syscall } = error
  const refused = sqlState !== undefined && !fatal
  if (refused && !conflicts.has(errno) && !dropped.has(errno) && !unavailable.has(errno)) {
    return new DatabaseRefusal(`The database refused a statement: ${error.message}`, { cause: error })
  }
  if (!refused && !fatal && !syscall && !poolRefusals.has(error.message)) return error
  const hint = errno === 1146 || errno === 1054 ? ' (are its migrations applied? npm run migrate)' : ''
  return new RetryableFailure('DATABASE_UNAVAILABLE', `The database is not available: ${error.message}${hint}`, {
    cause: error,
  })
}
