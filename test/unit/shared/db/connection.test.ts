import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConfigError } from '#shared/config.ts'
import { connectionOptions, databaseAddress } from '#shared/db/connection.ts'
import { authority, serverKey } from '../../../database-certificate.ts'

test('a URL becomes its parts, decoded, with TLS that checks certificate and host', () => {
  const options = connectionOptions({
    url: 'mysql://us%40er:p%2Fw%25@db.example:4000/prom',
    tls: 'required',
    ca: 'PEM',
  })
  const { host, port, user, password, database, ssl, timezone } = options
  assert.deepEqual(
    { host, port, user, password, database, timezone },
    { host: 'db.example', port: 4000, user: 'us@er', password: 'p/w%', database: 'prom', timezone: 'Z' },
  )
  assert.deepEqual(ssl, { minVersion: 'TLSv1.2', rejectUnauthorized: true, verifyIdentity: true, ca: 'PEM' })
})

for (const host of ['localhost', '127.0.0.1', '127.8.9.1', '[::1]']) {
  test(`TLS may be off on ${host}`, () => {
    const { ssl, port } = connectionOptions({ url: `mysql://u:p@${host}/d`, tls: 'off' })
    assert.equal(ssl, undefined)
    assert.equal(port, 3306)
  })
}

for (const [url, fault] of [
  ['mysql://u:hunter2@10.0.0.1/d', /DATABASE_TLS must not be off/],
  ['mysql://u:hunter2@localhost.example/d', /DATABASE_TLS must not be off/],
  ['mysql://u:hunter2@127.0.0.1.example/d', /DATABASE_TLS must not be off/],
  ['mysql://u:hunter2@127.0.0.1', /names no database/],
  ['mysql://u:hunter2@127.0.0.1/d?ssl={}', /takes nothing after a "\?"/],
  ['mysql://u:hunter2%@127.0.0.1/d', /not followed by two hexadecimal digits/],
  ['mysql://u:hunter2@[/d', /is not a valid URL/],
  ['postgres://u:hunter2@127.0.0.1/d', /must begin with mysql/],
] as const) {
  test(`refused without showing the password: ${url}`, () => {
    assert.throws(
      () => connectionOptions({ url, tls: 'off' }),
      (error: ConfigError) => {
        assert.ok(error instanceof ConfigError)
        assert.match(error.message, fault)
        assert.doesNotMatch(JSON.stringify(error, Object.getOwnPropertyNames(error)), /hunter2/)
        return true
      },
    )
  })
}

test('a file of certificates that cannot be read is a fault of the settings', async () => {
  const config = { DATABASE_URL: 'mysql://u@h/d', DATABASE_TLS: 'required', DATABASE_CA: '/nowhere/ca.pem' } as const
  await assert.rejects(databaseAddress(config), /DATABASE_CA names a file that cannot be read: ENOENT/)
})

test('certificates that are none, or are damaged, are a fault of the settings, and are not shown', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'promenade-ca-'))
  try {
    const file = join(folder, 'ca.pem')
    await writeFile(file, 'a page of HTML')
    const cut = authority.slice(0, -60)
    for (const [ca, fault] of [
      [file, /^DATABASE_CA names a file that holds no certificates in PEM, or a damaged one$/],
      [cut, /^DATABASE_CA holds no certificates in PEM, or a damaged one$/],
      [`${authority}${cut}`, /^DATABASE_CA holds no certificates in PEM, or a damaged one$/],
      [serverKey, /^DATABASE_CA holds no certificates in PEM, or a damaged one$/],
    ] as const) {
      const config = { DATABASE_URL: 'mysql://u@h/d', DATABASE_TLS: 'required', DATABASE_CA: ca } as const
      await assert.rejects(databaseAddress(config), (error) => {
        assert.ok(error instanceof ConfigError)
        assert.equal(error.faults.length, 1)
        assert.match(error.faults[0]!, fault)
        return true
      })
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})
