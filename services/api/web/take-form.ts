import type { Result } from '../client/client.ts'
import { resultAddress } from './address.ts'
import { h } from './dom.ts'
import { faultOf } from './fault.ts'
import type { Session } from './session.ts'
import { words } from './words.ts'

const maxPromptLength = 1000
const maxSeed = 2 ** 32 - 1

/** Orders another take, and leads to it. */
export function takeForm(result: Result, { session, signal }: { session: Session; signal: AbortSignal }): HTMLElement {
  const { result: text } = words
  const { prompt, duration_seconds: seconds } = result.music!
  const promptField = h(
    'textarea',
    { id: 'prompt', rows: 4, maxlength: maxPromptLength, required: true, lang: 'en', onchange: trim },
    prompt,
  )
  const seedField = h('input', {
    ...{ id: 'seed', type: 'number', inputmode: 'numeric', min: 0, max: maxSeed, step: 1 },
    'aria-describedby': 'seed-hint',
  })
  const length = Math.min(Math.max(Math.round(seconds), 1), 30)
  const lengthField = h('input', {
    ...{ id: 'length', type: 'number', inputmode: 'decimal', min: 1, max: 30, step: 'any', required: true },
    value: length,
  })
  const button = h('button', { type: 'submit', class: 'primary' }, text.order)
  const faults = h('div')
  /** The same order sent again, after an answer was lost, is not another take. */
  let last = { order: '', idempotencyKey: '' }
  let isOrdering = false

  /** Spaces alone are no prompt, which the browser then asks for. */
  function trim(): void {
    promptField.value = promptField.value.trim()
  }

  async function submit(event?: Event): Promise<void> {
    event?.preventDefault()
    if (isOrdering) return
    const given = {
      key: result.key,
      ...(result.version !== undefined && { version: result.version }),
      prompt: promptField.value,
      duration_seconds: lengthField.valueAsNumber,
      ...(seedField.value !== '' && { seed: seedField.valueAsNumber }),
    }
    const order = JSON.stringify(given)
    if (order !== last.order) last = { order, idempotencyKey: newIdempotencyKey() }
    const { idempotencyKey } = last
    isOrdering = true
    button.setAttribute('aria-disabled', 'true')
    button.textContent = text.ordering
    faults.replaceChildren()
    try {
      const ordered = await session.with((client) => client.generate(given, { idempotencyKey, signal }))
      location.hash = resultAddress(ordered)
    } catch (error) {
      if (!signal.aborted) faults.replaceChildren(faultOf(error, { session, again: submit }))
    } finally {
      isOrdering = false
      button.removeAttribute('aria-disabled')
      button.textContent = text.order
    }
  }

  return h(
    'section',
    { class: 'take-form', 'aria-labelledby': 'new-take' },
    h('h2', { id: 'new-take' }, text.newTake),
    h('p', { class: 'quiet' }, text.newTakeHint),
    h(
      'form',
      { onsubmit: submit },
      field(text.prompt, promptField),
      field(text.durationSeconds, lengthField),
      field(text.seed, seedField, h('p', { id: 'seed-hint', class: 'quiet' }, text.seedHint)),
      h('div', { class: 'actions' }, button),
      faults,
    ),
  )
}

function field(label: string, input: HTMLElement, hint?: HTMLElement): HTMLElement {
  return h('div', { class: 'field' }, h('label', { for: input.id }, label), input, hint)
}

/** `crypto.randomUUID` is not on pages that come over plain HTTP from elsewhere. */
function newIdempotencyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (each) => each.toString(36)).join('-')
}
