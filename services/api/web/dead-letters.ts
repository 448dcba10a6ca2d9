import { type ErrorCode, errorCodes } from '#shared/contract/error-code.ts'
import { h } from './dom.ts'
import { describeCode, faultOf } from './fault.ts'
import { createLetterTable, type LetterTable } from './letter-table.ts'
import type { View } from './main.ts'
import { confirmReplay } from './replay-dialog.ts'
import { number, words } from './words.ts'

const { letters: text } = words.operations

/** As the API takes for one replay. */
const mostLetters = 100
/** Which the API alone answers with. */
const apiOnly = new Set<ErrorCode>([
  'UNAUTHORIZED',
  'FORBIDDEN',
  'RATE_LIMITED',
  'INVALID_REQUEST',
  'RESULT_NOT_FOUND',
  'CONFLICT',
  'OVERLOADED',
])
/** Of those that SQS itself has dead-lettered. */
const noReason = 'none'

/** Dead letters: found on request, some chosen, tried out, and only then replayed. */
export function createDeadLetters({ session, signal }: Pick<View, 'session' | 'signal'>): HTMLElement {
  const code = createCodeChoice()
  const prefix = h('input', { id: 'letter-prefix', maxlength: 1024, autocomplete: 'off', spellcheck: 'false' })
  const status = h('p', { role: 'status' })
  const faults = h('div')
  const found = h('div')
  let busy = false

  return h(
    'section',
    { class: 'part' },
    h('h2', {}, text.title),
    h(
      'form',
      { class: 'filters', onsubmit: find },
      h('div', {}, h('label', { for: code.id }, text.code), code),
      h('div', {}, h('label', { for: prefix.id }, text.prefix), prefix),
      h('button', { type: 'submit' }, text.look),
    ),
    h('p', { class: 'quiet' }, text.hint),
    status,
    faults,
    found,
  )

  function find(event: Event): void {
    event.preventDefault()
    const query = { code: code.value || undefined, prefix: prefix.value || undefined, limit: mostLetters }
    void work(text.looking, async () => {
      const { letters, more } = await session.with((client) => client.deadLetters(query, signal))
      const table = createLetterTable(letters, () => replayChosen(table))
      found.replaceChildren(...(letters.length ? [table.element] : []))
      const count = number(letters.length)
      return letters.length === 0 ? text.empty : more ? text.more(count) : text.found(count)
    })
  }

  function replayChosen(table: LetterTable): void {
    const chosen = table.chosen()
    void work(text.asking, async () => {
      if (chosen.length === 0) return text.chooseFirst
      const tried = await session.with((client) =>
        client.replay({ message_ids: chosen.map(({ message_id: id }) => id), dry_run: true }, signal),
      )
      status.textContent = ''
      const ids = await confirmReplay(chosen, tried.letters)
      if (ids.length === 0 || signal.aborted) return ''
      status.textContent = text.replaying
      const order = { message_ids: ids, dry_run: false }
      const { letters } = await session.with((client) => client.replay(order, signal)).catch(tellUnsure)
      const others = tried.letters.filter(({ message_id: id }) => !ids.includes(id))
      table.tell(chosen, [...letters, ...others])
      const replayed = letters.filter(({ outcome }) => outcome === 'replayed').length
      return text.done(number(replayed), number(ids.length - replayed))
    })
  }

  /** The order may have been lost on its way there, or the answer on its way back. */
  function tellUnsure(error: unknown): never {
    if (!signal.aborted) faults.append(h('p', {}, text.unsure))
    throw error
  }

  /** One thing at a time, which ends with what `status` then says. */
  async function work(doing: string, run: () => Promise<string>): Promise<void> {
    if (busy) return
    busy = true
    faults.replaceChildren()
    status.textContent = doing
    try {
      status.textContent = await run()
    } catch (error) {
      status.textContent = ''
      if (!signal.aborted) faults.prepend(faultOf(error, { session }))
    } finally {
      busy = false
    }
  }
}

function createCodeChoice(): HTMLSelectElement {
  const codes = Object.keys(errorCodes) as ErrorCode[]
  return h(
    'select',
    { id: 'letter-code' },
    h('option', { value: '' }, text.anyCode),
    h('option', { value: noReason }, text.bySqs),
    ...codes
      .filter((code) => !apiOnly.has(code))
      .map((code) => h('option', { value: code }, `${code}: ${describeCode(code)}`)),
  )
}
