/** What the decoder reads, by sharp's names; `heif` is the container of AVIF. Others are told in these terms. */
export const pictureTypes = {
  jpeg: { contentType: 'image/jpeg', extension: 'jpg' },
  png: { contentType: 'image/png', extension: 'png' },
  webp: { contentType: 'image/webp', extension: 'webp' },
  gif: { contentType: 'image/gif', extension: 'gif' },
  tiff: { contentType: 'image/tiff', extension: 'tiff' },
  heif: { contentType: 'image/avif', extension: 'avif' },
} as const

export type PictureType = keyof typeof pictureTypes
