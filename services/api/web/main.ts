import { h } from './dom.ts'
import { faultOf } from './fault.ts'
import { showGallery } from './gallery.ts'
import { listenForPictures } from './offered-picture.ts'
import { showOperations } from './operations.ts'
import { showResult } from './result.ts'
import { createSession, type Session } from './session.ts'
import { showUpload } from './upload.ts'
import { language, words } from './words.ts'

/** What a view is given. It fills `main`, whose first element is its heading, and ends when `signal` is aborted. */
export interface View {
  main: HTMLElement
  /** Behind the view's name in the address: an image key, decoded. */
  key: string
  parameters: URLSearchParams
  session: Session
  signal: AbortSignal
}

/** By the first part of the address after `#/`. */
const views: Record<string, (view: View) => Promise<void>> = {
  '': showUpload,
  results: showResult,
  gallery: showGallery,
  operations: showOperations,
}

const session = createSession()
const links = (['', 'gallery', 'operations'] as const).map((name) =>
  h('a', { href: `#/${name}` }, words.shell.views[name || 'upload']),
)
const main = h('main', { id: 'main' })
/** Not everywhere. */
const docs = document.querySelector<HTMLLinkElement>('link[rel=help]')
let leave = new AbortController()

document.documentElement.lang = language
document.body.append(
  h('a', { class: 'skip', href: '#main', onclick: skip }, words.shell.skip),
  h(
    'header',
    {},
    h('a', { class: 'brand', href: '#/' }, 'Promenade'),
    h('nav', { 'aria-label': words.shell.nav }, ...links),
  ),
  main,
  h('footer', {}, docs && h('a', { href: docs.href }, words.shell.docs), h('a', { href: '/openapi.json' }, 'OpenAPI')),
)
// What is scrolled to is not there yet when the browser would do it.
history.scrollRestoration = 'manual'
addEventListener('hashchange', () => show({ moveFocus: true }))
listenForPictures(() => {
  location.hash = '#/'
})
show({ moveFocus: false })

/** Shows what the address names. Who cannot see that the view has changed is led to its heading. */
function show({ moveFocus }: { moveFocus: boolean }): void {
  leave.abort()
  leave = new AbortController()
  const { signal } = leave
  const [path = '', query] = location.hash.replace(/^#\/?/, '').split('?')
  const [name = '', ...rest] = path.split('/')
  const key = decodeKey(rest)
  const known = key !== undefined && Object.hasOwn(views, name)
  for (const link of links) {
    if (link.hash === `#/${known ? name : ''}`) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  main.replaceChildren()
  scrollTo(0, 0)
  const view = { main, key: key ?? '', parameters: new URLSearchParams(query), session, signal }
  views[known ? name : '']!(view).catch((error: unknown) => {
    if (!signal.aborted) main.append(faultOf(error, { session, again: () => show({ moveFocus: true }) }))
  })
  const heading = main.querySelector('h1')
  document.title = heading ? `${heading.textContent} · Promenade` : 'Promenade'
  if (!moveFocus || !heading) return
  heading.tabIndex = -1
  heading.focus()
}

/** Undefined for what nobody has encoded. */
function decodeKey(parts: string[]): string | undefined {
  try {
    return parts.map(decodeURIComponent).join('/')
  } catch {
    return undefined
  }
}

/** The address names the view; it cannot name a place in it. */
function skip(event: Event): void {
  event.preventDefault()
  main.tabIndex = -1
  main.focus()
}
