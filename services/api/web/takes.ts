import type { Result } from '../client/client.ts'
import { resultAddress } from './address.ts'
import { h } from './dom.ts'
import type { Session } from './session.ts'
import { words } from './words.ts'

/** As many as the API lists at once. */
const mostTakes = 100

/** Leads to the other takes on the same version of a picture, when there are any. */
export async function showTakes(
  { key, version, take = 0 }: Result,
  { session, signal, place }: { session: Session; signal: AbortSignal; place: HTMLElement },
): Promise<void> {
  const { result: text } = words
  const listed = await session.with(async (client) => {
    for await (const page of client.list({ prefix: key, limit: mostTakes, signal })) return page
    return []
  })
  const takes = listed
    .filter((each) => each.key === key && each.version === version)
    .sort((one, other) => (one.take ?? 0) - (other.take ?? 0))
  if (takes.length < 2) return
  const links = takes.map((each) => {
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
