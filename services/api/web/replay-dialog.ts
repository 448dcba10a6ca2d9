import { h } from './dom.ts'
import { describeCode } from './fault.ts'
import { describeOutcome } from './letter-table.ts'
import type { DeadLetter, ReplayedLetter } from './operator-api.ts'
import { number, words } from './words.ts'

const { letters: text } = words.operations

/** Shows what a dry run found. Resolves to the ids of what is to be replayed: none when the user does not confirm. */
export function confirmReplay(chosen: DeadLetter[], tried: ReplayedLetter[]): Promise<string[]> {
  const looked = chosen.map((letter) => ({
    letter,
    found: tried.find(({ message_id: id }) => id === letter.message_id),
  }))
  const ready = looked.filter(({ found }) => found?.outcome === 'would_be_replayed')
  const others = looked.filter((each) => !ready.includes(each))
  const count = number(ready.length)
  const dialog = h(
    'dialog',
    { class: 'replay', 'aria-labelledby': 'replay-title' },
    h(
      'form',
      { method: 'dialog' },
      h('h2', { id: 'replay-title' }, text.dialogTitle(count)),
      h('p', {}, ready.length ? text.dialogHint : text.nothing),
      ready.length > 0 &&
        list(
          text.dialogHint,
          ready.map(({ letter }) =>
            itemOf(letter, [letter.reason_code ? describeCode(letter.reason_code) : text.bySqs]),
          ),
        ),
      others.length > 0 && h('p', {}, text.others),
      others.length > 0 &&
        list(
          text.others,
          others.map(({ letter, found }) => itemOf(letter, describeOutcome(found))),
        ),
      h(
        'div',
        { class: 'actions' },
        ready.length > 0 && h('button', { value: 'replay', class: 'primary' }, text.confirm(count)),
        h('button', { value: 'cancel' }, text.cancel),
      ),
    ),
  )
  // It goes with the view.
  document.querySelector('main')!.append(dialog)
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove()
      resolve(dialog.returnValue === 'replay' ? ready.map(({ letter }) => letter.message_id) : [])
    })
  })
}

/** Of any length: it scrolls. */
function list(label: string, items: HTMLElement[]): HTMLElement {
  return h('ul', { tabindex: 0, 'aria-label': label }, ...items)
}

function itemOf({ message_id: id, image_keys: keys }: DeadLetter, about: (Node | string)[]): HTMLElement {
  return h('li', {}, keys.join(', ') || id, h('br'), h('small', { class: 'quiet' }, ...about))
}
