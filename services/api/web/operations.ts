import { PromenadeError } from '../client/client.ts'
import { createDeadLetters } from './dead-letters.ts'
import { h } from './dom.ts'
import { faultOf } from './fault.ts'
import type { View } from './main.ts'
import { createFigures } from './operation-figures.ts'
import { locale, words } from './words.ts'

const intervalMs = 5_000

const timeFormat = new Intl.DateTimeFormat(locale, { timeStyle: 'medium' })

/** `#/operations`: how the work goes, renewed while somebody looks; and what may be done about it. */
export async function showOperations({ main, session, signal }: View): Promise<void> {
  const state = h('p', { class: 'quiet' }, words.shell.loading)
  const faults = h('div')
  const figures = createFigures()
  const letters = createDeadLetters({ session, signal })
  figures.element.hidden = true
  main.append(h('h1', {}, words.operations.title), state, faults, figures.element, letters)

  let timer: ReturnType<typeof setTimeout> | undefined
  let looking = false
  let isDenied = false
  let failure: string | undefined
  signal.addEventListener('abort', () => clearTimeout(timer))
  document.addEventListener('visibilitychange', () => !isDenied && void look(), { signal })
  await look()

  async function look(): Promise<void> {
    if (looking || document.hidden) return
    looking = true
    clearTimeout(timer)
    try {
      const found = await session.with((client) => client.operations(signal))
      figures.show(found)
      figures.element.hidden = false
      letters.hidden = false
      state.textContent = words.operations.at(timeFormat.format(new Date(found.at)))
      faults.replaceChildren()
      failure = undefined
      isDenied = false
    } catch (error) {
      if (!signal.aborted) tell(error)
    } finally {
      looking = false
    }
    if (!signal.aborted && !isDenied) timer = setTimeout(look, intervalMs)
  }

  /** The same failure is told once, however often it comes again. */
  function tell(error: unknown): void {
    const code = error instanceof PromenadeError ? error.code : 'INTERNAL_ERROR'
    isDenied = code === 'UNAUTHORIZED' || code === 'FORBIDDEN'
    if (code === failure && !isDenied) return
    failure = code
    faults.replaceChildren(faultOf(error, { session, again: () => void look() }))
    figures.element.hidden ||= isDenied
    letters.hidden = isDenied
    if (figures.element.hidden) state.textContent = ''
  }
}
