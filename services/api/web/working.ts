import { PromenadeError, type Result } from '../client/client.ts'
import { h } from './dom.ts'
import { faultOf } from './fault.ts'
import type { Session } from './session.ts'
import { type Stage, stagesOf } from './stages.ts'
import { duration, percent, words } from './words.ts'

/** What is done on a picture, while it is. `say` is for those who do not see it. */
export function createWorking({
  session,
  signal,
  uploadedAt,
  say,
}: {
  session: Session
  signal: AbortSignal
  /** Milliseconds since 1970; when this page has done it. */
  uploadedAt: number | undefined
  say: (text: string) => void
}) {
  const { result: text } = words
  const stages = h('ol', { class: 'stages', role: 'list' })
  const bar = h('progress', { max: 1, value: 0, 'aria-label': text.progress })
  const attempt = h('p', { class: 'attempt', hidden: true })
  const faults = h('div')
  const cancelButton = h('button', { type: 'button', onclick: cancel }, text.cancel)
  const element = h(
    'section',
    { class: 'working', 'aria-labelledby': 'working' },
    h('h2', { id: 'working' }, text.working),
    stages,
    bar,
    attempt,
    h('p', { class: 'quiet' }, text.leave),
    h('div', { class: 'actions' }, cancelButton),
    faults,
  )
  let last: Result | undefined
  let said: Stage | undefined
  let isCanceling = false
  const ticking = setInterval(() => {
    if (element.isConnected && last?.status === 'queued') draw(last)
  }, 1000)
  signal.addEventListener('abort', () => clearInterval(ticking))

  function draw(result: Result): void {
    const shown = stagesOf(result).map(({ name, state }) =>
      h(
        'li',
        { class: state, 'aria-current': state === 'current' && 'step' },
        h('span', {}, text.stages[name]),
        state === 'done' && h('span', { class: 'unseen' }, ` (${text.done})`),
        state === 'current' && ' ',
        state === 'current' && h('span', { class: 'quiet' }, noteOf(result, uploadedAt)),
      ),
    )
    stages.replaceChildren(...shown)
    bar.value = result.progress ?? 0
    attempt.hidden = (result.attempt ?? 0) <= 1
    if (!attempt.hidden) attempt.textContent = text.attempt(result.attempt!)
  }

  async function cancel(): Promise<void> {
    if (isCanceling || !last) return
    isCanceling = true
    cancelButton.setAttribute('aria-disabled', 'true')
    cancelButton.textContent = text.canceling
    faults.replaceChildren()
    const { key, version, take } = last
    const wanted = { key, ...(version !== undefined && { version }), ...(take !== undefined && { take }) }
    try {
      await session.with((client) => client.cancel(wanted, { signal }))
    } catch (error) {
      if (signal.aborted) return
      isCanceling = false
      cancelButton.removeAttribute('aria-disabled')
      cancelButton.textContent = text.cancel
      // It has ended meanwhile, as its result will say.
      if (!(error instanceof PromenadeError && error.code === 'CONFLICT')) {
        faults.replaceChildren(faultOf(error, { session, again: cancel }))
      }
    }
  }

  return {
    element,

    show(result: Result): void {
      last = result
      draw(result)
      const current = stagesOf(result).find(({ state }) => state === 'current')!.name
      if (current === said) return
      said = current
      say(text.stages[current])
    },
  }
}

function noteOf(result: Result, uploadedAt: number | undefined): string {
  const { waiting, left } = words.result
  const { status, created_at: createdAt, stage, progress, eta_seconds: eta } = result
  if (status === 'queued') {
    const since = createdAt ? Date.parse(createdAt) : (uploadedAt ?? Date.now())
    const seconds = Math.floor((Date.now() - since) / 1000)
    return seconds > 0 ? waiting(duration(seconds)) : ''
  }
  if (stage !== 'composing') return ''
  const parts = [progress !== undefined && percent(progress), eta !== undefined && left(duration(Math.ceil(eta)))]
  return parts.filter(Boolean).join(', ')
}
