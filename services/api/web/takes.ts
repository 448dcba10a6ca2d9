import type { Result } from '../client/client.ts'
import { resultAddress } from './address.ts'
import { h } from './dom.ts'
import type { Session } from './session.ts'
import { words } from './words.ts'

/** As many as the API lists at once. */
const pageLength = 100
/** They also hold the results of keys that begin with this one. */
const mostPages = 5

/** Leads to the other takes on the same version of a picture, when there are any. */
export async function showTakes(
  shown: Result,
  { session, signal, place }: { session: Session; signal: AbortSignal; place: HTMLElement },
): Promise<void> {
  const { result: text } = words
  const { key, version, take = 0 } = shown
  // Where there are others the first has succeeded, and it is the last in the list.
  const takes = new Map<number, Result>([[0, { ...shown, take: 0, status: 'succeeded' }]]).set(take, shown)
  await session.with(async (client) => {
    let pages = 0
    for await (const page of client.list({ prefix: key, limit: pageLength, signal })) {
      for (const each of page) if (each.key === key && each.version === version) takes.set(each.take ?? 0, each)
      if (++pages === mostPages) break
    }
  })
  if (takes.size < 2) return
  const links = Array.from(takes.values())
    .sort((one, other) => (one.take ?? 0) - (other.take ?? 0))
    .map((each) => {
      const isThis = (each.take ?? 0) === take
      const state = isThis ? '' : text.states[each.status]
      const link = { href: resultAddress(each), class: 'button', 'aria-current': isThis && 'page' }
      return h('li', {}, h('a', link, text.take(each.take ?? 0), state && h('span', { class: 'quiet' }, state)))
    })
  place.append(
    h(
      'nav',
      { class: 'takes', 'aria-labelledby': 'takes' },
      h('h2', { id: 'takes' }, text.takes),
      h('ul', { class: 'actions', role: 'list' }, ...links),
    ),
  )
}
