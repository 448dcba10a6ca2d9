import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { drizzle, type MySql2Client } from 'drizzle-orm/mysql2'
import { type Connection, createPool, type PoolConnection, type QueryOptions } from 'mysql2/promise'
import { RetryableFailure } from '../failure.ts'
import { type Address, connectionOptions } from './connection.ts'
import { driverError, isAnswer, isConflict, isDropped, surfacedError } from './database-error.ts'

export interface DatabaseOptions extends Address {
  /** Connections at most. */
  connectionLimit?: number
  /** A connection and each statement are waited for this long at most. */
  timeoutSeconds?: number
  /** An idle connection is closed after this time, before the server or a network in between does. */
  idleSeconds?: number
  /** A connection older than this is not used again. */
  maxAgeSeconds?: number
}

export type Database = ReturnType<typeof openDatabase>
export type Drizzle = ReturnType<typeof drizzleOn>

const maxTries = 4
const firstBackoffMs = 25
const maxWaiting = 1000

/**
 * Strict about data whatever the server's default, with escapes as the driver writes them; a lock is not waited for
 * longer than a statement may take.
 */
const session = `set session sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 5`

/** A pool of connections; opens none before the first use. Throws ConfigError. */
export function openDatabase({
  connectionLimit = 8,
  timeoutSeconds = 10,
  idleSeconds = 60,
  maxAgeSeconds = 20 * 60,
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
  const openedAt = new WeakMap<object, number>()

  return {
    run,

    /** Resolves when the database answers. */
    async ping(): Promise<void> {
      await run((db) => db.execute(sql`select 1`))
    },

    /** Lets statements under way finish, within the time that one may take. */
    async close(): Promise<void> {
      await Promise.race([pool.end(), sleep(timeoutMs, undefined, { ref: false })])
    },
  }

  /**
   * Runs `operation` on one connection. It must be idempotent: when the connection drops, or the server undoes a
   * transaction because of another, it runs again from the start, a bounded number of times.
   * Throws RetryableFailure DATABASE_UNAVAILABLE, or an Error when the database refuses a statement.
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
    let reusable = false
    try {
      await prepare(connection)
      const result = await operation(drizzleOn(connection, timeoutMs))
      reusable = performance.now() - openedAt.get(connection.connection)! < maxAgeSeconds * 1000
      return result
    } catch (error) {
      reusable = isAnswer(driverError(error))
      throw error
    } finally {
      if (reusable) connection.release()
      else connection.destroy()
    }
  }

  async function acquire(): Promise<PoolConnection> {
    const timer = new AbortController()
    const pending = pool.getConnection()
    try {
      const connection = await Promise.race([pending, sleep(timeoutMs, undefined, { signal: timer.signal })])
      if (connection) return connection
      // It may still come, and nobody waits for it any more.
      pending.then(
        (late) => late.release(),
        () => {},
      )
      throw new RetryableFailure('DATABASE_UNAVAILABLE', `No connection to the database within ${timeoutSeconds} s`)
    } finally {
      timer.abort()
    }
  }

  async function prepare(connection: PoolConnection): Promise<void> {
    const raw = connection.connection
    if (openedAt.has(raw)) return
    // The end of an idle connection is nobody's error: mysql2 takes it out of the pool.
    raw.on('error', () => {})
    await connection.query({ sql: session, timeout: timeoutMs })
    openedAt.set(raw, performance.now())
  }
}

/** Drizzle on one connection, each statement bounded in time. */
function drizzleOn(connection: Connection, timeoutMs: number) {
  const query = (statement: QueryOptions, values: unknown[]) =>
    connection.query({ ...statement, timeout: timeoutMs }, values)
  return drizzle({ client: { query } as unknown as MySql2Client })
}
