import { hasAddress, resultAddress } from './address.ts'
import { h } from './dom.ts'
import { describeCode } from './fault.ts'
import type { DeadLetter, ReplayedLetter } from './operator-api.ts'
import { createTable } from './table.ts'
import { duration, number, words } from './words.ts'

const { letters: text, notKnown, ago } = words.operations

export type LetterTable = ReturnType<typeof createLetterTable>

/** Dead letters of which some may be chosen; `onreplay`: the user wants those to be replayed. */
export function createLetterTable(letters: DeadLetter[], onreplay: () => void) {
  const rows = letters.map((letter) => rowOf(letter, countChosen))
  const all = h('input', { type: 'checkbox', onchange: chooseAll })
  const count = h('span', { class: 'quiet' })
  const table = createTable({ label: text.title, columns: text.columns, empty: text.empty })
  table.show(rows.map(({ cells }) => cells))
  countChosen()

  return {
    element: h(
      'div',
      {},
      h(
        'div',
        { class: 'actions' },
        h('label', { class: 'check' }, all, text.chooseAll),
        count,
        h('button', { type: 'button', onclick: onreplay }, text.replay),
      ),
      table.element,
    ),

    chosen: (): DeadLetter[] => rows.filter(({ box }) => box.checked).map(({ letter }) => letter),

    /** What has become of those that were to be replayed. */
    tell(chosen: DeadLetter[], outcomes: ReplayedLetter[]): void {
      for (const { letter, box, outcome } of rows) {
        if (!chosen.includes(letter)) continue
        const told = outcomes.find(({ message_id: id }) => id === letter.message_id)
        outcome.replaceChildren(...describeOutcome(told))
        box.checked = false
        box.disabled = told?.outcome === 'replayed'
      }
      countChosen()
    },
  }

  function chooseAll(): void {
    for (const { box } of rows) box.checked = all.checked && !box.disabled
    countChosen()
  }

  function countChosen(): void {
    const chosen = rows.filter(({ box }) => box.checked).length
    all.checked = chosen > 0
    all.indeterminate = chosen > 0 && rows.some(({ box }) => !box.checked && !box.disabled)
    count.textContent = text.chosen(number(chosen))
  }
}

/** Undefined: the answer did not have it. */
export function describeOutcome(letter: ReplayedLetter | undefined): (Node | string)[] {
  if (!letter) return [text.missing]
  const { outcome, detail } = letter
  return [text.outcomes[outcome], ...(detail ? [': ', h('span', { lang: 'en' }, detail)] : [])]
}

function rowOf(letter: DeadLetter, onchange: () => void) {
  const { message_id: id, reason_code: code, reason, image_keys: keys } = letter
  const box = h('input', { type: 'checkbox', onchange })
  const outcome = h('span', { class: 'prose' })
  const why = h(
    'span',
    { class: 'prose' },
    code ? describeCode(code) : text.bySqs,
    code && h('br'),
    code && h('small', { class: 'quiet', lang: 'en' }, code, reason && `: ${reason}`),
    h('span', { class: 'unseen' }, keys.join(', ') || id),
  )
  const pictures = keys.map((key) => (hasAddress(key) ? h('a', { href: resultAddress({ key }) }, key) : key))
  const cells = [
    h('label', { class: 'check' }, box, why),
    h('span', { class: 'prose' }, ...(pictures.length ? pictures : [notKnown])),
    // It fails in the future by the word of who wrote it, or by the clock of another machine.
    ago(duration(Math.max(0, letter.age_seconds))),
    letter.attempts === undefined ? notKnown : number(letter.attempts),
    number(letter.replay_count),
    outcome,
  ]
  return { letter, box, outcome, cells }
}
