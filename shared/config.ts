import Type, { type Static, type TObject, type TSchema } from 'typebox'
import Value from 'typebox/value'
import { type SettingName, settings } from './contract/setting.ts'

export type Config<Name extends SettingName> = Static<TObject<Pick<typeof settings, Name>>>

type Environment = Readonly<Record<string, string | undefined>>
type Values = Partial<Record<SettingName, unknown>>

/** Faults of the settings, one line each. Values are never repeated: they may be secrets. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(`The settings have faults:\n${faults.map((fault) => `  ${fault}`).join('\n')}`)
    this.faults = faults
  }
}

/**
 * Reads the named settings from the environment; those of `optional` may be missing. An empty variable counts as absent, as
 * compose files leave them. Throws ConfigError.
 */
export function readConfig<Name extends SettingName, OptionalName extends SettingName = never>(
  required: readonly Name[],
  env: Environment,
  optional: readonly OptionalName[] = [],
): Config<Name> & Partial<Config<OptionalName>> {
  const names: SettingName[] = [...required, ...optional]
  const values: Values = {}
  const faults: string[] = []
  for (const name of names) {
    const schema: TSchema = settings[name]
    const raw = env[name]?.trim()
    if (raw) {
      const value = Type.IsNumber(schema) || Type.IsInteger(schema) ? Number(raw) : raw
      if (Value.Check(schema, value)) values[name] = value
      else faults.push(`${name} ${expected(schema, value)}`)
    } else if ('default' in schema) values[name] = schema.default
    else if (!Type.IsOptional(schema) && !optional.some((each) => each === name))
      faults.push(`${name} is missing: ${describe(schema)}`)
  }
  for (const rule of rules) {
    if (!rule.names.every((name) => names.includes(name))) continue
    faults.push(...rule.check(values))
  }
  if (faults.length) throw new ConfigError(faults)
  return values as Config<Name> & Partial<Config<OptionalName>>
}

/** What must hold between settings; asked only where a service reads all of `names`. */
const rules: { names: SettingName[]; check: (values: Values) => string[] }[] = [
  {
    names: ['DATABASE_URL', 'DATABASE_TLS'],
    check: ({ DATABASE_URL: url, DATABASE_TLS: tls }) => (typeof url === 'string' ? databaseFaults(url, tls) : []),
  },
  {
    names: ['QUEUE_URL', 'DLQ_URL'],
    check: ({ QUEUE_URL, DLQ_URL }) =>
      DLQ_URL && DLQ_URL === QUEUE_URL ? ['DLQ_URL is the same as QUEUE_URL: they are two queues'] : [],
  },
  {
    names: ['AUTH', 'API_KEYS'],
    check: ({ AUTH, API_KEYS }) =>
      AUTH || API_KEYS ? [] : ['API_KEYS is missing: bearer keys, or AUTH=none for an API open to everyone'],
  },
]

/** What is wrong with DATABASE_URL, which is never repeated: the password is in it. */
export function databaseFaults(url: string, tls: unknown): string[] {
  if (!URL.canParse(url)) return ['DATABASE_URL is not a valid URL: percent-encode the user and the password']
  const { protocol, hostname, username, password, pathname, search } = new URL(url)
  const faults: string[] = []
  if (protocol !== 'mysql:') faults.push('DATABASE_URL must begin with mysql://')
  if (!hostname) faults.push('DATABASE_URL names no host')
  if (pathname.length < 2) {
    faults.push('DATABASE_URL names no database: expected mysql://user:password@host:port/database')
  }
  if (search) faults.push('DATABASE_URL takes nothing after a "?": TLS is set by DATABASE_TLS and DATABASE_CA')
  if (![username, password, pathname].every(isEncoded)) {
    faults.push('DATABASE_URL has a "%" that is not followed by two hexadecimal digits')
  }
  if (tls === 'off' && !isLoopback(hostname)) {
    faults.push('DATABASE_TLS must not be off: the host in DATABASE_URL is not on loopback')
  }
  return faults
}

function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)
}

function expected(schema: TSchema, value: unknown): string {
  const reasons = Value.Errors(schema, value).map(({ message, params }) =>
    'allowedValues' in params
      ? `must be one of ${params.allowedValues.join(', ')}`
      : 'allowedValue' in params
        ? `must be ${params.allowedValue}`
        : message,
  )
  return `${reasons.join(' and ')}: ${describe(schema)}`
}

function describe(schema: TSchema): string {
  return (schema as TSchema & { description: string }).description
}
