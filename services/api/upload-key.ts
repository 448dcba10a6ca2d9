import { uploadsPrefix } from '#shared/contract/key.ts'

const maxNameLength = 64

/**
 * Where an upload goes: `uploads/<yyyy>/<mm>/<dd>/<id>/<name>.<extension>`, or `<id>.<extension>` without a name. Of the
 * user's name for the file, its letters and digits are kept, in any script; `id` is what nobody can guess.
 */
export function uploadKey({
  id,
  now,
  filename = '',
  extension,
}: {
  id: string
  now: Date
  filename?: string | undefined
  extension: string
}): string {
  const day = now.toISOString().slice(0, 10).replaceAll('-', '/')
  const words = filename
    .replace(/^.*[/\\]/s, '')
    .replace(/\.\w{1,5}$/, '')
    .normalize('NFC')
    .match(/[\p{L}\p{M}\p{N}]+/gu)
  const name = Array.from(words?.join('-') ?? '')
    .slice(0, maxNameLength)
    .join('')
  return `${uploadsPrefix}${day}/${id}${name && `/${name}`}.${extension}`
}
