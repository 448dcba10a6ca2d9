import { h } from './dom.ts'
import { refresh } from './dom-refresh.ts'

type Cell = Node | string

/** A table that scrolls by itself where the page is narrower; `empty` is said instead of rows when there are none. */
export function createTable({ label, columns, empty }: { label: string; columns: string[]; empty: string }) {
  const body = h('tbody')
  const element = h(
    'div',
    { class: 'table', role: 'region', 'aria-label': label, tabindex: 0 },
    h('table', {}, h('thead', {}, h('tr', {}, ...columns.map((column) => h('th', { scope: 'col' }, column)))), body),
  )
  return {
    element,

    /** The first cell of a row names it. */
    show(rows: Cell[][]): void {
      const shown = rows.map(([name = '', ...cells]) =>
        h('tr', {}, h('th', { scope: 'row' }, name), ...cells.map((cell) => h('td', {}, cell))),
      )
      refresh(body, shown.length ? shown : [h('tr', {}, h('td', { colspan: columns.length }, empty))])
    },
  }
}
