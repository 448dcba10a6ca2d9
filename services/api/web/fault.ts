import { PromenadeError } from '../client/client.ts'
import { h } from './dom.ts'
import type { Session } from './session.ts'
import { words } from './words.ts'

type Code = keyof typeof words.errors

/** In the user's words; of codes that this page does not know, the general ones. */
export function describeCode(code: string): string {
  return words.errors[Object.hasOwn(words.errors, code) ? (code as Code) : 'INTERNAL_ERROR']
}

/** What went wrong, and what can be done. `again` does the whole anew; without it there is nothing to try. */
export function faultOf(error: unknown, { session, again }: { session: Session; again?: (() => void) | undefined }) {
  const known = error instanceof PromenadeError
  if (!known) console.error(error)
  const code = known ? error.code : 'INTERNAL_ERROR'
  const needsKey = code === 'UNAUTHORIZED' || code === 'FORBIDDEN'
  const enterKey = async () => {
    if (await session.askForKey()) again?.()
  }
  return h(
    'div',
    { class: 'fault', role: 'alert' },
    h('p', {}, describeCode(code)),
    known && h('p', { class: 'detail', lang: 'en' }, [code, detailOf(error)].filter(Boolean).join(': ')),
    needsKey && h('button', { type: 'button', onclick: enterKey }, words.access.another),
    again && !needsKey && h('button', { type: 'button', onclick: again }, words.shell.again),
  )
}

/** What the service says, or of what did not come from it the client. */
function detailOf({ problem, status, message }: PromenadeError): string | undefined {
  return problem ? problem.detail : status && message ? message : undefined
}
