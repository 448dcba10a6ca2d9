import { hash, timingSafeEqual } from 'node:crypto'
import { ConfigError } from '#shared/config.ts'

/** What a key lets its holder do. */
export const scopes = ['read', 'upload', 'act', 'admin'] as const
export type Scope = (typeof scopes)[number]

export interface ApiKey {
  /** SHA-256 of the key, which is not kept itself. */
  digest: Buffer
  /** `admin` stands for all of them. */
  scopes: ReadonlySet<Scope>
}

/** Of a key without scopes of its own: all that an app does. */
const appScopes: readonly Scope[] = ['read', 'upload', 'act']
const minKeyLength = 16
/** What a bearer token is written with: RFC 6750, section 2.1. */
const token = /^[\w~+/.-]+=*$/

/**
 * Reads `API_KEYS`: `key`, `key:read+upload` or `sha256:<digest of the key>[:scopes]`, separated by commas.
 * Throws ConfigError, which tells keys apart by their place alone.
 */
export function readApiKeys(text: string): ApiKey[] {
  const faults: string[] = []
  const keys = text.split(',').map((entry, index): ApiKey => {
    const parts = entry.trim().split(':')
    const isDigest = parts[0] === 'sha256' && parts.length > 1
    const [secret = '', named, ...rest] = isDigest ? parts.slice(1) : parts
    const scopesNamed = named?.split('+') ?? appScopes
    const fault =
      entry.trim() === ''
        ? 'is empty: separate the keys by single commas'
        : rest.length
          ? 'has too many colons: expected key, key:scopes or sha256:digest:scopes'
          : !scopesNamed.every(isScope)
            ? `has an unknown scope: expected some of ${scopes.join('+')}`
            : isDigest
              ? !/^[0-9a-f]{64}$/i.test(secret)
                ? 'is not a SHA-256 in 64 hexadecimal digits'
                : digestOf('').equals(Buffer.from(secret, 'hex')) && 'is the SHA-256 of nothing'
              : !token.test(secret)
                ? 'has characters that no bearer token can have: expected letters, digits and -._~+/'
                : secret.length < minKeyLength && `is too short: at least ${minKeyLength} characters are needed`
    if (fault) faults.push(`API_KEYS: key ${index + 1} ${fault}`)
    return {
      digest: isDigest ? Buffer.from(secret, 'hex') : digestOf(secret),
      scopes: new Set(scopesNamed.filter(isScope)),
    }
  })
  const distinct = new Set(keys.map(({ digest }) => digest.toString('hex')))
  if (!faults.length && distinct.size < keys.length) faults.push('API_KEYS has the same key more than once')
  if (faults.length) throw new ConfigError(faults)
  return keys
}

/** The key with this digest. The time it takes tells nothing of which keys there are: all are compared, in full. */
export function findApiKey(keys: readonly ApiKey[], digest: Buffer): ApiKey | undefined {
  let found: ApiKey | undefined
  for (const key of keys) if (timingSafeEqual(key.digest, digest)) found = key
  return found
}

export function digestOf(key: string): Buffer {
  return hash('sha256', key, 'buffer')
}

/** The token of an `Authorization` header; the scheme is taken in any case, as HTTP does. */
export function readBearer(header: string | undefined): string | undefined {
  const [, found] = header?.match(/^bearer +(\S+)$/i) ?? []
  return found !== undefined && token.test(found) ? found : undefined
}

function isScope(name: string): name is Scope {
  return scopes.some((each) => each === name)
}
