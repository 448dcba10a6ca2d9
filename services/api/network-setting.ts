import { isIP } from 'node:net'
import { ConfigError } from '#shared/config.ts'

/** Reads `CORS_ORIGINS`. Throws ConfigError. */
export function readOrigins(text = ''): string[] {
  const origins = itemsOf(text)
  const wrong = origins.filter((origin) => !/^[a-z][\w+.-]*:\/\/[^\s/?#*@]+$/.test(origin))
  if (wrong.length) {
    throw new ConfigError([`CORS_ORIGINS: expected origins such as https://app.example, found ${wrong.join(' ')}`])
  }
  return origins
}

/** Reads `TRUST_PROXY`. Throws ConfigError. */
export function readProxies(text = ''): string[] {
  const proxies = itemsOf(text)
  const wrong = proxies.filter((proxy) => !isNetwork(proxy))
  if (wrong.length) {
    throw new ConfigError([`TRUST_PROXY: expected addresses or networks such as 10.0.0.0/8, found ${wrong.join(' ')}`])
  }
  return proxies
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
