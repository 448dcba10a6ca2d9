import { readFile } from 'node:fs/promises'
import type { ConnectionOptions } from 'mysql2/promise'
import { type Config, ConfigError, databaseFaults } from '../config.ts'
import { readCertificates } from '../contract/pem.ts'

export interface Address {
  /** mysql://user:password@host:port/database, the user and the password percent-encoded. */
  url: string
  /** `off` is accepted for a database on loopback only. */
  tls: 'required' | 'off'
  /** PEM certificates to trust instead of the system's. */
  ca?: string | undefined
}

export const databaseSettings = ['DATABASE_URL', 'DATABASE_TLS', 'DATABASE_CA'] as const

const connectTimeoutMs = 5_000

/** Throws ConfigError when there are no certificates where DATABASE_CA says. */
export async function databaseAddress(config: Config<(typeof databaseSettings)[number]>): Promise<Address> {
  const { DATABASE_URL: url, DATABASE_TLS: tls, DATABASE_CA: given } = config
  if (!given) return { url, tls }
  const isText = given.includes('-----BEGIN ')
  const certificates = readCertificates(isText ? given : await readFileOf(given))
  if (certificates) return { url, tls, ca: certificates.join('') }
  const where = isText ? 'holds' : 'names a file that holds'
  throw new ConfigError([`DATABASE_CA ${where} no certificates in PEM, or a damaged one`])
}

async function readFileOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new ConfigError([`DATABASE_CA names a file that cannot be read: ${(cause as Error).message}`])
  }
}

/** Where and how to connect. Throws ConfigError. */
export function connectionOptions({ url, tls, ca }: Address): ConnectionOptions {
  const faults = databaseFaults(url, tls)
  if (faults.length) throw new ConfigError(faults)
  const { hostname, port, username, password, pathname } = new URL(url)
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port ? Number(port) : 3306,
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)),
    charset: 'utf8mb4_bin',
    timezone: 'Z',
    connectTimeout: connectTimeoutMs,
    // It would take a stack trace for every statement, to have it if that fails: a fifth of a short one's time.
    trace: false,
    // LOAD DATA LOCAL lets a server read this machine's files.
    flags: ['-LOCAL_FILES'],
    ...(tls === 'required' && {
      ssl: { minVersion: 'TLSv1.2', rejectUnauthorized: true, verifyIdentity: true, ...(ca && { ca }) },
    }),
  }
}
