import assert from 'node:assert/strict'
import { drizzle } from 'drizzle-orm/mysql2'
import { createConnection, type RowDataPacket } from 'mysql2/promise'
import type { Database } from '#shared/db/client.ts'
import { connectionOptions } from '#shared/db/connection.ts'

/** A database on one connection, of which is known what was asked, what that read and how it went about it. */
export async function watchDatabase(url: string) {
  const connection = await createConnection(connectionOptions({ url, tls: 'off' }))
  const asked: { statement: string; values: unknown[] }[] = []
  const logQuery = (statement: string, values: unknown[]) => void asked.push({ statement, values })
  const db = drizzle({ client: connection, logger: { logQuery } })

  return {
    connection,
    database: {
      run: (operation: (on: never) => unknown) => operation(db as never),
      ping: async () => {},
      close: async () => {},
    } as Database,

    /** Begins to count anew. */
    async forget(): Promise<void> {
      asked.length = 0
      await connection.query('flush status')
    },

    /** Rows read since then, by key, along an index or along a table. */
    async rowsRead(): Promise<number> {
      const [rows] = await connection.query<RowDataPacket[]>(`show session status like 'Handler\\_read%'`)
      return rows.reduce((sum, { Value: value }) => sum + Number(value), 0)
    },

    plans,

    /** No statement since then goes through a table, nor sorts more than a slice already bounded. */
    async assertPlans(): Promise<void> {
      for (const { statement, plan } of await plans()) {
        for (const { table, type, key, Extra: extra } of plan) {
          if (table === null || String(table).startsWith('<derived')) continue
          assert.ok(key, `${table} ${type} ${extra}: ${statement}`)
          assert.notEqual(type, 'ALL', statement)
          assert.doesNotMatch(String(extra), /filesort|temporary/i, statement)
        }
      }
    },

    close: () => connection.end(),
  }

  /** How the server goes about each statement since then. */
  async function plans(): Promise<{ statement: string; plan: RowDataPacket[] }[]> {
    assert.ok(asked.length > 0)
    return Promise.all(
      asked.map(async ({ statement, values }) => {
        const [plan] = await connection.query<RowDataPacket[]>(`explain ${statement}`, values)
        return { statement, plan }
      }),
    )
  }
}
