import type { Result } from '../client/client.ts'
import { type GalleryFilters, galleryAddress, resultAddress } from './address.ts'
import { h } from './dom.ts'
import { faultOf } from './fault.ts'
import type { View } from './main.ts'
import { dateTime, words } from './words.ts'

/**
 * Presigned addresses end within the hour, or with the credentials that have signed them. One that fails sooner than this
 * after it was given has not ended: the browser cannot take what is there.
 */
const surelyOpenMs = 60_000

/** A result in the gallery: the picture, what it was found to be, and its music. Its links add to `filters`. */
export function createExhibit(
  given: Result,
  { filters, session, signal }: Pick<View, 'session' | 'signal'> & { filters: GalleryFilters },
): HTMLElement {
  const { genre = '', styles = [] } = given
  const style = styles[0]?.name ?? ''
  let givenAt = Date.now()
  let renewing = false

  const picture = h('img', {
    src: given.image_url,
    alt: words.gallery.picture(genre, style),
    loading: 'lazy',
    decoding: 'async',
    onerror: () =>
      hasEnded() ? renew() : picture.replaceWith(h('span', {}, picture.alt, h('br'), words.gallery.noPicture)),
  })
  const player = h('audio', {
    src: given.music_url,
    controls: true,
    preload: 'none',
    'aria-label': words.gallery.music(genre, style),
    onerror: () => (hasEnded() ? renew({ play: true }) : faults.replaceChildren(noMusic())),
  })
  const faults = h('div')
  const address = resultAddress(given)

  return h(
    'li',
    {},
    h(
      'article',
      { class: 'exhibit', 'aria-label': `${genre}, ${style}` },
      h('a', { class: 'frame', href: address }, picture),
      h(
        'div',
        { class: 'wall-label' },
        h('h2', { lang: 'en' }, h('a', { href: galleryAddress({ ...filters, genre }) }, genre)),
        h(
          'ul',
          { class: 'styles', role: 'list', 'aria-label': words.gallery.styles, lang: 'en' },
          ...styles.map(({ name }) => h('li', {}, h('a', { href: galleryAddress({ ...filters, style: name }) }, name))),
        ),
        describeTake(given),
        player,
        faults,
        h('a', { class: 'details', href: address }, words.gallery.details),
      ),
    ),
  )

  function hasEnded(): boolean {
    return Date.now() - givenAt > surelyOpenMs
  }

  /** Gives both new addresses. What was to be played goes on where it was. */
  async function renew({ play = false } = {}): Promise<void> {
    if (renewing) return
    renewing = true
    faults.replaceChildren()
    const { key, version, take } = given
    const asked = { version, take, musicUrl: 'presigned', imageUrl: 'presigned', signal } as const
    try {
      const { result } = await session.with((client) => client.result(key, asked))
      givenAt = Date.now()
      if (result.image_url) picture.src = result.image_url
      if (!result.music_url || (!play && !player.paused)) return
      const { currentTime } = player
      player.src = result.music_url
      player.currentTime = currentTime
      // What goes wrong with it is told by its error event; a browser that wants another click shows the button for it.
      if (play) player.play().catch(() => {})
    } catch (error) {
      if (!signal.aborted) faults.append(faultOf(error, { session, again: () => void renew({ play }) }))
    } finally {
      renewing = false
    }
  }

  function noMusic(): HTMLElement {
    const again = h('button', { type: 'button', onclick: () => renew({ play: true }) }, words.shell.again)
    return h('div', { class: 'fault', role: 'alert' }, h('p', {}, words.gallery.noMusic), again)
  }
}

function describeTake({ take = 0, created_at: createdAt }: Result): HTMLElement {
  return h(
    'p',
    { class: 'quiet' },
    take ? words.gallery.take(take) : words.gallery.firstTake,
    createdAt && ' · ',
    createdAt && h('time', { datetime: createdAt }, dateTime(createdAt)),
  )
}
