import type { Result } from '../client/client.ts'
import { type GalleryFilters, galleryAddress } from './address.ts'
import { h } from './dom.ts'
import { words } from './words.ts'

/** As the API takes them. */
const maxLength = 100
const names = ['genre', 'style'] as const

/** The form, which leads to the address of what it asks for, and the filters in force. */
export function createGalleryFilters(filters: GalleryFilters) {
  const fields = names.map((name) => {
    const choices = h('datalist', { id: `${name}-choices` })
    const value = filters[name]
    const input = h('input', { id: name, name, value, maxlength: maxLength, list: choices.id, autocomplete: 'off' })
    return { name, value, input, choices, offered: new Set<string>() }
  })
  const form = h(
    'form',
    { class: 'filters', role: 'search', 'aria-label': words.gallery.filters, onsubmit: filter },
    ...fields.map(({ name, input, choices }) =>
      h('div', {}, h('label', { for: name }, words.gallery[name]), input, choices),
    ),
    h('button', { type: 'submit' }, words.gallery.filter),
  )
  const chips = fields.flatMap(({ name, value }) => {
    if (!value) return []
    const remove = () => go({ ...filters, [name]: undefined })
    const label = words.gallery.remove(value)
    const chip = h('button', { type: 'button', 'aria-label': label, onclick: remove }, value, mark())
    return h('li', {}, h('span', { class: 'quiet' }, words.gallery[name]), chip)
  })
  const element = h(
    'div',
    {},
    form,
    chips.length > 0 && h('ul', { class: 'chips', role: 'list', 'aria-label': words.gallery.inForce }, ...chips),
  )

  function filter(event: Event): void {
    event.preventDefault()
    go(Object.fromEntries(fields.map(({ name, input }) => [name, input.value.trim() || undefined])))
  }

  return {
    element,

    /** Names that have been seen may be chosen. */
    offer(results: Result[]): void {
      for (const { name, choices, offered } of fields) {
        const seen = results.flatMap(({ genre, styles = [] }) =>
          name === 'genre' ? (genre ?? []) : styles.map((style) => style.name),
        )
        for (const value of new Set(seen)) {
          if (offered.has(value)) continue
          offered.add(value)
          choices.append(h('option', { value }))
        }
      }
    },
  }
}

function go(filters: GalleryFilters): void {
  location.hash = galleryAddress(filters)
}

function mark(): HTMLElement {
  return h('span', { 'aria-hidden': 'true' }, '×')
}
