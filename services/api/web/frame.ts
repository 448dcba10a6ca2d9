import { h } from './dom.ts'
import { words } from './words.ts'

/** The picture, hung: the first that it is told to show. */
export function createFrame(description: string, signal: AbortSignal) {
  const element = h('figure', { class: 'hung', hidden: true })

  function show(url: string): void {
    if (!element.hidden) return
    const image = h('img', { src: url, alt: description })
    // Not every browser shows every kind that the service reads.
    image.addEventListener('error', () =>
      image.replaceWith(h('p', { class: 'quiet' }, description, h('br'), words.result.noPicture)),
    )
    element.append(image)
    element.hidden = false
  }

  return {
    element,
    show,
    showFile(file: File): void {
      const url = URL.createObjectURL(file)
      signal.addEventListener('abort', () => URL.revokeObjectURL(url))
      show(url)
    },
  }
}
