import type { PictureType } from '#shared/contract/picture-type.ts'

const heifBrands = new Set(['avif', 'avis', 'heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'mif1', 'msf1'])

/**
 * The type of a picture by its first bytes, whatever its name says; undefined for anything else. Only what is named here
 * ever reaches a decoder: libvips would also run documents such as SVG and PDF.
 */
export function sniffPictureType(bytes: Buffer): PictureType | undefined {
  const head = bytes.toString('latin1', 0, 12)
  if (head.startsWith('\xff\xd8\xff')) return 'jpeg'
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'png'
  if (head.startsWith('RIFF') && head.endsWith('WEBP')) return 'webp'
  if (head.startsWith('GIF87a') || head.startsWith('GIF89a')) return 'gif'
  if (/^(II[*+]\0|MM\0[*+])/.test(head)) return 'tiff'
  if (head.slice(4, 8) === 'ftyp' && heifBrands.has(head.slice(8, 12))) return 'heif'
  return undefined
}
