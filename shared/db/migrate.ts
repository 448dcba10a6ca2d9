import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createConnection, type RowDataPacket } from 'mysql2/promise'
import { withDeadline } from '../deadline.ts'
import { RetryableFailure } from '../failure.ts'
import { type Address, connectionOptions } from './connection.ts'
import { driverError, isAnswer, surfacedError } from './database-error.ts'

interface MigrateOptions extends Address {
  /** As `npm run db:generate` writes it. */
  folder?: string
  /** How long another migration under way is waited for. */
  lockSeconds?: number
  /** Told of every statement applied. */
  report?: (line: string) => void
}

interface Statement {
  /** Name of the migration, then the number of the statement in it, from 1. */
  name: string
  sql: string
  digest: string
}

const migrationsFolder = fileURLToPath(new URL('migrations', import.meta.url))

type Rows = Record<string, unknown>[] & RowDataPacket[]
type Query = (sql: string, values?: unknown[], seconds?: number) => Promise<Rows>

/** An index on a large table takes its time. */
const statementTimeoutSeconds = 30 * 60
const timeoutSeconds = 10

/** What is to be made is there (table, column, index, key), or what is to be dropped is not. */
const alreadyDone = new Set([1050, 1051, 1060, 1061, 1091, 1826])

const createTable = `create table if not exists promenade_migrations (
  name varchar(200) character set ascii collate ascii_bin not null primary key,
  digest char(64) character set ascii collate ascii_bin not null,
  started_at datetime(3) not null,
  finished_at datetime(3)
)`

/**
 * Applies the migrations that the database lacks, statement by statement, while no other runner does; returns how many
 * statements. Throws ConfigError, RetryableFailure DATABASE_UNAVAILABLE, or an Error that names the statement refused.
 */
export async function migrate({
  folder = migrationsFolder,
  lockSeconds = 60,
  report = () => {},
  ...address
}: MigrateOptions): Promise<number> {
  const options = connectionOptions(address)
  const statements = await readStatements(folder)
  const connection = await createConnection(options).catch((error: unknown) => {
    throw surfacedError(driverError(error))
  })
  // A lost connection is told by the statement under way.
  connection.on('error', () => {})
  const query: Query = async (sql, values = [], seconds = timeoutSeconds) => {
    const [rows] = await withDeadline(connection.query<Rows>(sql, values), seconds * 1000, () => silence(seconds))
    return rows
  }
  try {
    await lock(query, options.database!, lockSeconds)
    await query(createTable)
    let applied = 0
    for (const statement of statements) {
      if (!(await apply(query, statement))) continue
      applied++
      report(`applied ${statement.name}`)
    }
    return applied
  } catch (error) {
    throw surfacedError(driverError(error))
  } finally {
    // The lock goes with the connection, at once: an orderly end would wait behind a statement that never ends.
    connection.destroy()
  }
}

async function lock(query: Query, database: string, seconds: number): Promise<void> {
  // Locks are the server's, not the database's, and a name has 64 characters at most.
  const name = `promenade.${createHash('sha256').update(database).digest('hex').slice(0, 32)}`
  const [row] = await query('select get_lock(?, ?) as locked', [name, seconds], seconds + timeoutSeconds)
  if (row?.locked !== 1) {
    throw new RetryableFailure('DATABASE_UNAVAILABLE', `Another migration is still under way after ${seconds} s`)
  }
}

/**
 * False when the statement has been applied before. No statement that changes tables can be part of a transaction, so
 * each is marked before and after: one cut off in between runs again, and may then find its work done.
 */
async function apply(query: Query, { name, sql, digest }: Statement): Promise<boolean> {
  const [earlier] = await query('select digest, finished_at from promenade_migrations where name = ?', [name])
  if (earlier && earlier.digest !== digest) {
    throw new Error(`Migration ${name} was changed after it was applied: restore it, and add a new one instead`)
  }
  if (earlier?.finished_at) return false
  if (!earlier) {
    const insert = 'insert into promenade_migrations (name, digest, started_at) values (?, ?, utc_timestamp(3))'
    await query(insert, [name, digest])
  }
  try {
    await query(sql, [], statementTimeoutSeconds)
  } catch (cause) {
    const error = driverError(cause)
    if (!isAnswer(error)) throw error
    if (!earlier) {
      // Refused, so nothing was done and nothing may be taken as done the next time.
      await query('delete from promenade_migrations where name = ?', [name])
    }
    if (!earlier || !alreadyDone.has(error.errno ?? 0)) {
      throw new Error(`Migration ${name} was refused: ${error.message}`, { cause: error })
    }
  }
  await query('update promenade_migrations set finished_at = utc_timestamp(3) where name = ?', [name])
  return true
}

function silence(seconds: number): RetryableFailure {
  return new RetryableFailure('DATABASE_UNAVAILABLE', `No answer from the database within ${seconds} s`)
}

async function readStatements(folder: string): Promise<Statement[]> {
  const journal: { entries: { tag: string }[] } = JSON.parse(await readFile(join(folder, 'meta/_journal.json'), 'utf8'))
  const statements: Statement[] = []
  for (const { tag } of journal.entries) {
    const text = await readFile(join(folder, `${tag}.sql`), 'utf8')
    for (const [index, part] of text.split('--> statement-breakpoint').entries()) {
      const sql = part.trim()
      const digest = createHash('sha256').update(sql).digest('hex')
      statements.push({ name: `${tag}.${index + 1}`, sql, digest })
    }
  }
  return statements
}
