import type { Result } from '../client/client.ts'

/** Of the view of one result, on this page. */
export function addressOf({ key, version, take = 0 }: Pick<Result, 'key' | 'version' | 'take'>): string {
  const parameters = new URLSearchParams()
  if (version !== undefined) parameters.set('version', version)
  if (take > 0) parameters.set('take', String(take))
  const query = parameters.size > 0 ? `?${parameters}` : ''
  return `#/results/${key.split('/').map(encodeURIComponent).join('/')}${query}`
}

/** What the user calls the picture; undefined when its name says nothing but an id. */
export function nameOf(key: string): string | undefined {
  const name = key
    .split('/')
    .at(-1)!
    .replace(/\.\w{1,5}$/, '')
    .replaceAll(/[-_]+/g, ' ')
    .trim()
  return name === '' || /^[0-9a-f]{8}( [0-9a-f]{4}){3} [0-9a-f]{12}$/i.test(name) ? undefined : name
}
