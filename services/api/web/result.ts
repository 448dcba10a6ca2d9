import { PromenadeError, type Result } from '../client/client.ts'
import { isFinal } from '../client/results.ts'
import { hasAddress } from './address.ts'
import { h } from './dom.ts'
import { faultOf } from './fault.ts'
import { follow } from './follow.ts'
import { createFrame } from './frame.ts'
import type { View } from './main.ts'
import { outcomeOf } from './outcome.ts'
import { nameOf } from './picture-name.ts'
import { showTakes } from './takes.ts'
import { lastUpload } from './upload.ts'
import { words } from './words.ts'
import { createWorking } from './working.ts'

/** One result: how far it is while it is in the making, then what has come of it. */
export async function showResult({ main, key, parameters, session, signal }: View): Promise<void> {
  const { result: text } = words
  const take = Number(parameters.get('take') ?? 0)
  const version = parameters.get('version') ?? undefined
  const name = nameOf(key) ?? text.untitled
  const connection = h('p', { class: 'connection', role: 'status' })
  const announcement = h('p', { class: 'unseen', role: 'status' })
  const say = (news: string) => {
    announcement.textContent = news
  }
  const frame = createFrame(text.picture(name), signal)
  const beside = h('div', {}, h('p', { class: 'quiet' }, words.shell.loading))
  const work = h('div', { class: 'work' }, frame.element, beside)
  const upload = lastUpload?.key === key ? lastUpload : undefined
  const working = createWorking({ session, signal, uploadedAt: upload?.at, say })
  const leftOut = upload?.leftOut ? h('p', { role: 'status' }, upload.leftOut) : ''
  main.append(h('h1', {}, take > 0 ? text.titleOfTake(name, take) : name), leftOut, connection, announcement, work)
  if (upload) frame.showFile(upload.file)

  const onResult = (result: Result) => {
    connection.textContent = ''
    if (result.image_url) frame.show(result.image_url)
    if (isFinal(result)) return
    if (!working.element.isConnected) beside.replaceChildren(working.element)
    working.show(result)
  }
  const onLost = (error: PromenadeError | undefined) => {
    const lost = lossOf(error)
    if (connection.textContent !== lost) connection.textContent = lost
  }
  let last: Result
  try {
    if (!hasAddress(key)) throw new PromenadeError('RESULT_NOT_FOUND', 'No picture has this key', { retryable: false })
    last = await follow({ key, version, take, session, signal, onResult, onLost })
  } catch (error) {
    work.remove()
    connection.textContent = ''
    if (!(error instanceof PromenadeError && error.code === 'RESULT_NOT_FOUND')) throw error
    main.append(faultOf(error, { session }), h('a', { class: 'button primary', href: '#/' }, text.chooseAnother))
    return
  }

  const wasWorking = working.element.isConnected
  const hadFocus = working.element.contains(document.activeElement)
  const outcome = outcomeOf(last, { session, signal })
  beside.replaceChildren(outcome.beside)
  work.after(...outcome.below)
  if (wasWorking) say(outcome.news)
  const heading = beside.querySelector('h2')!
  heading.tabIndex = -1
  if (hadFocus) heading.focus()
  await showTakes(last, { session, signal, place: outcome.takes })
}

function lossOf(error: PromenadeError | undefined): string {
  const { offline, lost, away } = words.result
  if (!error || !navigator.onLine) return offline
  return error.code === 'NETWORK_ERROR' || error.code === 'TIMEOUT' ? lost : away(error.code)
}
