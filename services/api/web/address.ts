import type { Result } from '../client/client.ts'

export interface GalleryFilters {
  genre?: string | undefined
  style?: string | undefined
}

/** Browsers would lead to another than such a key. */
export function hasAddress(key: string): boolean {
  return !/(^|\/)\.\.?(\/|$)/.test(key)
}

/** Leads to one result, now and later. */
export function resultAddress({ key, version, take }: Pick<Result, 'key' | 'version' | 'take'>): string {
  return `#/results/${key.split('/').map(encodeURIComponent).join('/')}${queryOf({ version, take })}`
}

export function galleryAddress({ genre, style }: GalleryFilters): string {
  return `#/gallery${queryOf({ genre, style })}`
}

function queryOf(parameters: Record<string, string | number | undefined>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined)
  const query = new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)])).toString()
  return query && `?${query}`
}
