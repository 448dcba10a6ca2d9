import type { Result } from '../client/client.ts'
import { type GalleryFilters, galleryAddress } from './address.ts'
import { h } from './dom.ts'
import { createExhibit } from './exhibit.ts'
import { faultOf } from './fault.ts'
import { createGalleryFilters } from './gallery-filters.ts'
import { createGalleryPlace } from './gallery-place.ts'
import type { View } from './main.ts'
import { number, words } from './words.ts'

const pageLength = 20
/** As many as the API lists at once. */
const longestPage = 100
/** What one page of a browser holds well. */
const mostShown = 500
/** Pages without any result that are passed over at once. */
const mostEmptyPages = 5
/** From the end of the list, when the next ones are asked for. */
const aheadPixels = 800

/** `#/gallery`: earlier results, newest first. */
export async function showGallery({ main, parameters, session, signal }: View): Promise<void> {
  const filters = readFilters(parameters)
  const form = createGalleryFilters(filters)
  const list = h('ul', { class: 'exhibits', role: 'list', 'aria-label': words.gallery.list })
  const status = h('p', { role: 'status', class: 'quiet' }, words.shell.loading)
  const faults = h('div')
  const more = h(
    'button',
    { type: 'button', hidden: true, onclick: () => load({ moveFocus: true }) },
    words.gallery.more,
  )
  main.append(h('h1', {}, words.gallery.title), form.element, list, status, faults, more)
  playOneAtATime(list)
  const place = createGalleryPlace(list, signal)

  const end = new IntersectionObserver(
    (entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting)) void load()
    },
    { rootMargin: `${aheadPixels}px` },
  )
  signal.addEventListener('abort', () => end.disconnect())
  let cursor: string | undefined
  let loading = false
  /** To the first of what is being loaded. */
  let focusMoves = false
  await load()

  async function load({ moveFocus = false } = {}): Promise<void> {
    focusMoves ||= moveFocus
    if (loading) return
    loading = true
    more.textContent = words.shell.loading
    faults.replaceChildren()
    end.unobserve(more)
    try {
      let found: Result[]
      do {
        found = await nextResults()
        show(found)
        focusMoves = false
      } while (found.length && !more.hidden && list.children.length < place.wanted())
      place.settle()
      // Tells at once where the list still ends in sight.
      if (found.length && !more.hidden) end.observe(more)
    } catch (error) {
      if (signal.aborted) return
      status.textContent = ''
      more.hidden = true
      faults.append(faultOf(error, { session, again: () => void load() }))
    } finally {
      loading = false
      more.textContent = words.gallery.more
    }
  }

  /** Of the next page that has any; none when there are no more, or when it would take too many pages. */
  async function nextResults(): Promise<Result[]> {
    const limit = Math.min(Math.max(place.wanted() - list.children.length, pageLength), longestPage)
    for (let pages = 1; ; pages++) {
      const { results, nextCursor } = await session.with((client) =>
        client.page({
          ...filters,
          state: 'succeeded',
          musicUrl: 'presigned',
          imageUrl: 'presigned',
          limit,
          cursor,
          signal,
        }),
      )
      cursor = nextCursor
      if (results.length || !cursor || pages === mostEmptyPages) return results
    }
  }

  function show(results: Result[]): void {
    const exhibits = results.map((result) => createExhibit(result, { filters, session, signal }))
    list.append(...exhibits)
    form.offer(results)
    const isFull = list.children.length >= mostShown
    more.hidden = isFull || !cursor
    status.replaceChildren(...describe(list.children.length, { isFull, found: results.length }))
    if (focusMoves) exhibits[0]?.querySelector('a')?.focus()
  }

  function describe(shown: number, { isFull, found }: { isFull: boolean; found: number }): (Node | string)[] {
    const count = number(shown)
    if (isFull) return [words.gallery.tooMany(count)]
    if (cursor) return [found ? words.gallery.shown(count) : words.gallery.noneYet]
    if (shown) return [words.gallery.end(count)]
    return filters.genre || filters.style
      ? [words.gallery.noMatch, ' ', h('a', { href: galleryAddress({}) }, words.gallery.removeAll)]
      : [words.gallery.empty, ' ', h('a', { href: '#/' }, words.gallery.first)]
  }
}

function readFilters(parameters: URLSearchParams): GalleryFilters {
  const read = (name: string) => parameters.get(name)?.trim() || undefined
  return { genre: read('genre'), style: read('style') }
}

function playOneAtATime(list: HTMLElement): void {
  let playing: HTMLMediaElement | undefined
  // It does not bubble.
  list.addEventListener(
    'play',
    ({ target }) => {
      if (playing !== target) playing?.pause()
      playing = target as HTMLMediaElement
    },
    { capture: true },
  )
}
