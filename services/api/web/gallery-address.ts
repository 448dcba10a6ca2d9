export interface GalleryFilters {
  genre?: string | undefined
  style?: string | undefined
}

/** Of the gallery, on this page. */
export function galleryAddress({ genre, style }: GalleryFilters): string {
  const parameters = new URLSearchParams({ ...(genre && { genre }), ...(style && { style }) })
  return `#/gallery${parameters.size > 0 ? `?${parameters}` : ''}`
}
