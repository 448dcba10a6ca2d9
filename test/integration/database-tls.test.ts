import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { sql } from 'drizzle-orm'
import { openDatabase } from '#shared/db/client.ts'
import { databaseAddress } from '#shared/db/connection.ts'
import { startDatabase } from '../../services/local/database.ts'
import { authority, serverCertificate, serverKey } from '../database-certificate.ts'
import { certificate as stranger } from '../worker-identity.ts'

let folder: string
let server: Awaited<ReturnType<typeof startDatabase>>

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'promenade-tls-'))
  const path = (name: string) => join(folder, name)
  await writeFile(path('authority.pem'), authority)
  await writeFile(path('server.pem'), serverCertificate)
  await writeFile(path('server-key.pem'), serverKey)
  server = await startDatabase({ args: [`--ssl-cert=${path('server.pem')}`, `--ssl-key=${path('server-key.pem')}`] })
})

after(async () => {
  await server?.close()
  await rm(folder, { recursive: true })
})

/** The version of TLS that a session has. */
async function connect(ca: string | undefined): Promise<string> {
  const url = server.url.replace('127.0.0.1', 'localhost')
  const config = { DATABASE_URL: url, DATABASE_TLS: 'required', ...(ca !== undefined && { DATABASE_CA: ca }) } as const
  const database = openDatabase(await databaseAddress(config))
  try {
    const [rows] = await database.run((db) => db.execute(sql`show session status like 'Ssl_version'`))
    const [{ Value }] = rows as unknown as [{ Value: string }]
    return Value
  } finally {
    await database.close()
  }
}

test('a private authority is trusted by its file, or by its text with line breaks that a form has spelled out or lost', async () => {
  for (const ca of [
    join(folder, 'authority.pem'),
    authority,
    authority.replaceAll('\n', '\\n'),
    authority.replaceAll('\n', ' '),
    `${stranger.replaceAll('\n', '\r\n')}${authority}`.trim(),
  ]) {
    assert.match(await connect(ca), /^TLSv1\.[23]$/)
  }
})

test('it is not trusted where none is named, or another', async () => {
  for (const ca of [undefined, stranger]) {
    await assert.rejects(connect(ca), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'DATABASE_UNAVAILABLE')
      assert.match(error.message, /certificate/)
      return true
    })
  }
})
