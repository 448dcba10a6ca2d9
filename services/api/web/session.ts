import { createPromenadeClient, PromenadeError } from '../client/client.ts'
import { systemClock } from '../client/clock.ts'
import { createConnection } from '../client/connection.ts'
import { h } from './dom.ts'
import { createOperatorApi } from './operator-api.ts'
import { words } from './words.ts'

/** The key lives as long as the tab. */
const storageName = 'promenade.key'

export type Session = ReturnType<typeof createSession>
export type Client = ReturnType<typeof connect>

/** Speaks to the API that has served the page, with the key that the user has given once it asks for one. */
export function createSession() {
  let client = connect()
  let asking: Promise<boolean> | undefined

  /** False when the user gives none. */
  function askForKey(): Promise<boolean> {
    asking ??= showKeyDialog()
      .then((key) => {
        if (key === undefined) return false
        sessionStorage.setItem(storageName, key)
        client = connect()
        return true
      })
      .finally(() => {
        asking = undefined
      })
    return asking
  }

  return {
    askForKey,

    /** Runs `use`, again after the user has given a key if one was missing or not known. */
    async with<T>(use: (client: Client) => Promise<T>): Promise<T> {
      for (;;) {
        const asked = client
        try {
          return await use(asked)
        } catch (error) {
          if (!(error instanceof PromenadeError) || error.code !== 'UNAUTHORIZED') throw error
          // Another call may have asked meanwhile.
          if (asked === client && !(await askForKey())) throw error
        }
      }
    },
  }
}

function connect() {
  const options = { baseUrl: location.origin, apiKey: sessionStorage.getItem(storageName) ?? undefined }
  return { ...createPromenadeClient(options), ...createOperatorApi(createConnection(options, systemClock)) }
}

function showKeyDialog(): Promise<string | undefined> {
  const { key: label, keyHint, keyTitle, enter, close } = words.access
  const input = h('input', { id: 'key', type: 'password', autocomplete: 'off', required: true, spellcheck: 'false' })
  const dialog = h(
    'dialog',
    { 'aria-labelledby': 'key-title' },
    h(
      'form',
      { method: 'dialog' },
      h('h2', { id: 'key-title' }, keyTitle),
      h('p', {}, keyHint),
      h('label', { for: 'key' }, label),
      input,
      h(
        'div',
        { class: 'actions' },
        h('button', { type: 'submit', value: 'enter', class: 'primary' }, enter),
        h('button', { type: 'submit', value: 'close', formnovalidate: true }, close),
      ),
    ),
  )
  document.body.append(dialog)
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      const key = input.value.trim()
      dialog.remove()
      resolve(dialog.returnValue === 'enter' && key ? key : undefined)
    })
  })
}
