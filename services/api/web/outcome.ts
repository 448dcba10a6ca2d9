import { errorCodes } from '#shared/contract/error-code.ts'
import type { Result } from '../client/client.ts'
import { resultAddress } from './address.ts'
import { h } from './dom.ts'
import { describeCode } from './fault.ts'
import { showPlayer } from './player.ts'
import type { Session } from './session.ts'
import { takeForm } from './take-form.ts'
import { details, wallLabel } from './wall-label.ts'
import { words } from './words.ts'

interface Outcome {
  /** For those who do not see it. */
  news: string
  /** Belongs beside the picture; it has a heading of the second level. */
  beside: HTMLElement
  below: HTMLElement[]
  /** One of these, where other takes are led to. */
  takes: HTMLElement
}

/** What is shown of work that has ended. */
export function outcomeOf(result: Result, context: { session: Session; signal: AbortSignal }): Outcome {
  const takes = h('div')
  if (result.status !== 'succeeded') {
    const beside = failure(result)
    return { news: beside.querySelector('h2')!.textContent!, beside, below: [takes], takes }
  }
  const below = [music(result, context), takes, details(result), takeForm(result, context)]
  return { news: words.result.finished, beside: wallLabel(result), below, takes }
}

function music(result: Result, context: { session: Session; signal: AbortSignal }): HTMLElement {
  const { result: text } = words
  return h(
    'section',
    { class: 'music', 'aria-labelledby': 'music' },
    h('h2', { id: 'music' }, text.music),
    showPlayer(result, context, copyActions(new URL(resultAddress(result), location.href).href)),
    h('h3', {}, text.prompt),
    h('blockquote', { lang: 'en' }, result.music!.prompt),
  )
}

/** Pages that come over plain HTTP from elsewhere have no clipboard. */
function copyActions(address: string): HTMLElement[] {
  if (!('clipboard' in navigator)) return []
  const { copyLink, copied, notCopied } = words.result
  const news = h('span', { role: 'status', class: 'quiet' })
  const copy = () =>
    navigator.clipboard.writeText(address).then(
      () => news.replaceChildren(copied),
      () => news.replaceChildren(notCopied),
    )
  return [h('button', { type: 'button', onclick: copy }, copyLink), news]
}

function failure({ key, version, take = 0, status, error }: Result): HTMLElement {
  const { result: text } = words
  const isCanceled = status === 'canceled'
  const { code, message, retryable } = error ?? { code: 'INTERNAL_ERROR', message: '', retryable: true }
  const saysMore = message && message !== errorCodes[code]?.title
  const link = (href: string, name: string) => h('a', { class: 'button primary', href }, name)
  return h(
    'section',
    { class: isCanceled ? 'end' : 'end failed', 'aria-labelledby': 'end' },
    h('h2', { id: 'end' }, isCanceled ? text.canceled : text.failed),
    !isCanceled && h('p', {}, describeCode(code)),
    !isCanceled && h('p', { class: 'detail quiet', lang: 'en' }, saysMore ? `${code}: ${message}` : code),
    take > 0
      ? link(resultAddress({ key, ...(version !== undefined && { version }) }), text.firstTake)
      : link('#/', retryable || isCanceled ? text.uploadAgain : text.chooseAnother),
  )
}
