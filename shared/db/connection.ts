import { readFile } from 'node:fs/promises'
import type { ConnectionOptions } from 'mysql2/promise'
import { type Config, ConfigError, isLoopback } from '../config.ts'
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

/** Where and how to connect. Throws ConfigError, which never repeats the URL: the password is in it. */
export function connectionOptions({ url, tls, ca }: Address): ConnectionOptions {
  if (!URL.canParse(url)) {
    throw new ConfigError(['DATABASE_URL is not a valid URL: percent-encode the user and the password'])
  }
  const { protocol, hostname, port, username, password, pathname, search } = new URL(url)
  const faults: string[] = []
  const database = decode(pathname.slice(1))
  if (protocol !== 'mysql:') faults.push('DATABASE_URL must begin with mysql://')
  if (!hostname) faults.push('DATABASE_URL names no host')
  if (!database) faults.push('DATABASE_URL names no database: expected mysql://user:password@host:port/database')
  if (search) faults.push('DATABASE_URL takes nothing after a "?": TLS is set by DATABASE_TLS and DATABASE_CA')
  if (tls === 'off' && !isLoopback(hostname)) {
    faults.push('DATABASE_TLS must not be off: the host in DATABASE_URL is not on loopback')
  }
  if (faults.length) throw new ConfigError(faults)
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port ? Number(port) : 3306,
    user: decode(username),
    password: decode(password),
    database,
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

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new ConfigError(['DATABASE_URL has a "%" that is not followed by two hexadecimal digits'])
  }
}
