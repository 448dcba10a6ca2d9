import { isIP } from 'node:net'
import { ConfigError } from '#shared/config.ts'

/** Reads `CORS_ORIGINS`. Throws ConfigError. */
export function readOrigins(text = ''): string[] {
  const origins = itemsOf(text)
  if (!origins.every((origin) => /^[a-z][\w+.-]*:\/\/[^\s/?#*@]+$/.test(origin))) {
    throw new ConfigError(['CORS_ORIGINS must be origins separated by commas: https://app.example'])
  }
  return origins
}

/** Throws ConfigError. */
export function readNetworks(setting: 'TRUST_PROXY' | 'WEBHOOKS_ALLOW_PRIVATE', text = ''): string[] {
  const networks = itemsOf(text)
  if (!networks.every(isNetwork)) {
    throw new ConfigError([`${setting} must be addresses or networks separated by commas: 10.1.0.0/16,127.0.0.1`])
  }
  return networks
}

function isNetwork(text: string): boolean {
  const [, address = '', bits = '0'] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const version = isIP(address)
  return version !== 0 && Number(bits) <= (version === 4 ? 32 : 128)
}

function itemsOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean)
}
