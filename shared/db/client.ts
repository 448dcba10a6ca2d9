import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { drizzle, type MySql2Client } from 'drizzle-orm/mysql2'
import { createPool, type PoolConnection, type QueryOptions } from 'mysql2/promise'
import { withDeadline } from '../deadline.ts'
import { RetryableFailure } from '../failure.ts'
import { type Address, connectionOptions } from './connection.ts'
import { driverError, isAnswer, isConflict, isDropped, surfacedError } from './database-error.ts'

interface DatabaseOptions extends Address {
  /** Connections at most. */
  connectionLimit?: number
  /** A connection and each statement are waited for this long at most. */
  timeoutSeconds?: number
  /** An idle connection is closed after this time, before the server or a network in between does. */
  idleSeconds?: number
}

export type Database = ReturnType<typeof openDatabase>
export type Drizzle = ReturnType<typeof drizzleOn>

const maxTries = 4
const firstBackoffMs = 25
const maxWaiting = 1000
/** A connection older than this is not used again. */
const maxAgeMs = 20 * 60_000

/** The server ends a statement after it is given up here: before, TiDB may say that it was killed, and it ran again. */
const serverMarginSeconds = 1

/**
 * Strict about data whatever the server's default, with escapes as the driver writes them; a lock is not waited for
 * longer than a statement may take, nor kept for long by a machine that vanished in the midst of a transaction. What is
 * given up here ends on the server too: reads by MySQL and TiDB, which run the first comment, anything by MariaDB, which
 * runs the second.
 */
function sessionOf({ idleSeconds, timeoutSeconds }: { idleSeconds: number; timeoutSeconds: number }): string {
  const seconds = timeoutSeconds + serverMarginSeconds
  return `set session
    sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION',
    innodb_lock_wait_timeout = 5,
    wait_timeout = ${Math.ceil(2 * idleSeconds)}
    /*!50708 , max_execution_time = ${Math.ceil(seconds * 1000)} */
    /*M! , max_statement_time = ${seconds} */`
}

/** A pool of connections; opens none before the first use. Throws ConfigError. */
export function openDatabase({
  connectionLimit = 8,
  timeoutSeconds = 10,
  idleSeconds = 60,
  ...address
}: DatabaseOptions) {
  const timeoutMs = timeoutSeconds * 1000
  const pool = createPool({
    ...connectionOptions(address),
    connectionLimit,
    // Below the limit, or mysql2 never closes an idle connection.
    maxIdle: connectionLimit - 1,
    idleTimeout: idleSeconds * 1000,
    queueLimit: maxWaiting,
  })
  const sessions = new WeakMap<object, Session>()

  return {
    run,

    /** Resolves when the database answers. */
    async ping(): Promise<void> {
      await run((db) => db.execute(sql`select 1`))
    },

    /** Lets statements under way finish, within the time that one may take. */
    async close(): Promise<void> {
      // A connection that cannot be ended in order is broken, and gone already.
      const ended = pool.end().catch(() => {})
      await Promise.race([ended, sleep(timeoutMs, undefined, { ref: false })])
    },
  }

  /**
   * Runs `operation` on one connection. It must be idempotent: when the connection drops, or the server undoes a
   * transaction because of another, it runs again from the start, a bounded number of times.
   * Throws RetryableFailure DATABASE_UNAVAILABLE, or DatabaseRefusal when the database refuses a statement.
   */
  async function run<T>(operation: (db: Drizzle) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await runOnce(operation)
      } catch (cause) {
        const error = driverError(cause)
        if (tries === maxTries || !(isConflict(error) || isDropped(error))) throw surfacedError(error)
        await sleep(Math.random() * firstBackoffMs * 2 ** tries)
      }
    }
  }

  async function runOnce<T>(operation: (db: Drizzle) => Promise<T>): Promise<T> {
    const connection = await acquire()
    let session = sessions.get(connection.connection)
    try {
      session ??= await openSession(connection)
      return await operation(session.db)
    } catch (error) {
      throw session?.broken ?? error
    } finally {
      if (!session || isOld(session)) connection.destroy()
      else connection.release()
    }
  }

  async function acquire(): Promise<PoolConnection> {
    const pending = pool.getConnection()
    try {
      return await withDeadline(pending, timeoutMs, () => silence('No connection to the database'))
    } catch (error) {
      // It may still come, and nobody waits for it any more.
      pending.then(
        (late) => late.release(),
        () => {},
      )
      throw error
    }
  }

  function silence(what: string): RetryableFailure {
    return new RetryableFailure('DATABASE_UNAVAILABLE', `${what} within ${timeoutSeconds} s`)
  }

  async function openSession(connection: PoolConnection): Promise<Session> {
    // The end of an idle connection is nobody's error: mysql2 takes it out of the pool.
    connection.connection.on('error', () => {})
    const query = async (statement: QueryOptions, values?: unknown[]) => {
      try {
        return await withDeadline(connection.query(statement, values), timeoutMs, () =>
          silence('No answer from the database'),
        )
      } catch (error) {
        // What follows, a rollback perhaps, would wait behind a statement that never ends.
        if (!isAnswer(driverError(error))) {
          session.broken ??= error
          connection.destroy()
        }
        throw error
      }
    }
    const session: Session = { db: drizzleOn(query), openedAt: performance.now() }
    try {
      await query({ sql: sessionOf({ idleSeconds, timeoutSeconds }) })
    } catch (error) {
      throw session.broken ?? error
    }
    sessions.set(connection.connection, session)
    return session
  }

  function isOld({ openedAt }: Session): boolean {
    return performance.now() - openedAt > maxAgeMs
  }
}

/** What belongs to one connection for as long as it lasts. */
interface Session {
  db: Drizzle
  openedAt: number
  /** Why it can be used no more. */
  broken?: unknown
}

/**
 * A statement that is built once for each connection, not each time it runs: for one of many columns that takes longer than
 * the database does.
 */
export function preparedOnce<Statement>(prepare: (db: Drizzle) => Statement): (db: Drizzle) => Statement {
  const prepared = new WeakMap<Drizzle, Statement>()
  return (db) => {
    const statement = prepared.get(db) ?? prepare(db)
    prepared.set(db, statement)
    return statement
  }
}

type Query = (statement: QueryOptions, values?: unknown[]) => Promise<unknown>

/** Of its client, drizzle's session on one connection uses `query` alone. */
function drizzleOn(query: Query) {
  return drizzle({ client: { query } as unknown as MySql2Client })
}
