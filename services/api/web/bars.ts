import { h } from './dom.ts'

interface Bar {
  name: string
  /** What the name is written in, when that is not the page's language. */
  lang?: string
  value: number
  text: string
}

/** Values as a list with a bar each, which `whole` would fill. */
export function barList(bars: Bar[], whole: number): HTMLElement {
  return h(
    'ol',
    { class: 'bars', role: 'list' },
    ...bars.map(({ name, lang, value, text }) =>
      h(
        'li',
        {},
        h('span', { lang }, name),
        ' ',
        h('data', { value }, text),
        h('span', { class: 'bar', 'aria-hidden': 'true', style: { '--share': String(whole ? value / whole : 0) } }),
      ),
    ),
  )
}
