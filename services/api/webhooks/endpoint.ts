import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import { Webhook } from 'standardwebhooks'
import Type, { type Static } from 'typebox'
import Value from 'typebox/value'
import { type Config, ConfigError } from '#shared/config.ts'
import { type FinalState, isFinal, jobStates } from '#shared/contract/result.ts'
import { readNetworks } from '../network-setting.ts'
import { createAddressRule } from './address.ts'

const maxEndpoints = 10
/** As the specification has it. */
const secretBytes = { least: 24, most: 64 }

const eventTypes = jobStates.filter(isFinal).map(eventTypeOf)

const Settings = Type.Array(
  Type.Object(
    {
      url: Type.String({ maxLength: 2048 }),
      /** Every message is signed with each of them, so that one can take over from another. */
      secrets: Type.Array(Type.String(), { minItems: 1, maxItems: 4 }),
      /** All when absent. */
      events: Type.Optional(Type.Array(Type.Enum(eventTypes), { minItems: 1 })),
      allow_http: Type.Optional(Type.Boolean()),
    },
    { additionalProperties: false },
  ),
  { maxItems: maxEndpoints },
)
type EndpointSettings = Static<typeof Settings>[number]

export type Endpoint = ReturnType<typeof endpointOf>

export function eventTypeOf<State extends FinalState>(state: State) {
  return `result.${state}` as const
}

/** Throws ConfigError with every fault; it repeats nothing of the settings, since they hold secrets. */
export function readEndpoints(config: Config<'WEBHOOKS' | 'WEBHOOKS_ALLOW_PRIVATE'>) {
  const mayReach = createAddressRule(readNetworks('WEBHOOKS_ALLOW_PRIVATE', config.WEBHOOKS_ALLOW_PRIVATE))
  const settings = parse(config.WEBHOOKS ?? '[]')
  const faults = Value.Errors(Settings, settings)
    // The object that has a property too many is told; that property's name may be anything.
    .filter(({ keyword }) => keyword !== 'boolean')
    .map(({ instancePath, message }) => `WEBHOOKS${instancePath} ${message}`)
  if (!Value.Check(Settings, settings)) throw new ConfigError(faults)
  faults.push(
    ...settings.flatMap((each, index) => faultsOf(each, mayReach).map((fault) => `WEBHOOKS/${index}/${fault}`)),
  )
  if (faults.length) throw new ConfigError(faults)
  const endpoints = settings.map(endpointOf)
  if (new Set(endpoints.map(({ id }) => id)).size < endpoints.length) {
    throw new ConfigError(['WEBHOOKS has one url twice: give it all its secrets and events in one place'])
  }
  return { endpoints, mayReach }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's own message repeats the text.
    throw new ConfigError(['WEBHOOKS must be JSON: [{"url":"https://...","secrets":["whsec_..."]}]'])
  }
}

function faultsOf({ url, secrets, allow_http }: EndpointSettings, mayReach: (address: string) => boolean): string[] {
  const faults = secrets.flatMap((secret, index) =>
    isSecret(secret)
      ? []
      : [`secrets/${index} must be whsec_ and the base64 of ${secretBytes.least} to ${secretBytes.most} random bytes`],
  )
  if (!URL.canParse(url)) return ['url must be a URL', ...faults]
  const { protocol, hostname, username, password } = new URL(url)
  if (protocol !== 'https:' && protocol !== 'http:') faults.push('url must begin with https://')
  if (protocol === 'http:' && !allow_http) faults.push('url must begin with https://, or "allow_http":true stand by it')
  if (username || password) faults.push('url must hold no user and no password: messages are signed')
  const literal = hostname.replace(/^\[|\]$/g, '')
  if (isIP(literal) && !mayReach(literal)) {
    faults.push('url must be at a public address, or WEBHOOKS_ALLOW_PRIVATE name it')
  }
  return faults
}

function isSecret(text: string): boolean {
  if (!text.startsWith('whsec_')) return false
  const encoded = text.slice('whsec_'.length)
  const bytes = Buffer.from(encoded, 'base64')
  if (bytes.length < secretBytes.least || bytes.length > secretBytes.most) return false
  return bytes.toString('base64') === encoded
}

function endpointOf({ url: address, secrets, events }: EndpointSettings) {
  const url = new URL(address)
  const id = createHash('sha256').update(url.href).digest('hex')
  const signers = secrets.map((secret) => new Webhook(secret))
  return {
    /** Stays the same when the secrets change. */
    id,
    url,
    /** For logs: a path or a query may be meant to be secret. */
    name: `${url.host} ${id.slice(0, 8)}`,
    wants: (state: FinalState): boolean => !events || events.includes(eventTypeOf(state)),
    sign: (messageId: string, at: Date, payload: string): string =>
      signers.map((signer) => signer.sign(messageId, at, payload)).join(' '),
  }
}
