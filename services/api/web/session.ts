import { createPromenadeClient, PromenadeError } from '../client/client.ts'
import { systemClock } from '../client/clock.ts'
import { createConnection } from '../client/connection.ts'
import { h } from './dom.ts'
import { createOperatorApi } from './operator-api.ts'
import { words } from './words.ts'

/** What a header can carry. */
const keyPattern = '\\s*[!-~]+\\s*'

export type Session = ReturnType<typeof createSession>
type Client = ReturnType<typeof connect>

/** Speaks to the API that has served the page, with the key that the user has given once it asks for one. */
export function createSession() {
  const given = createKeptKey()
  let client = connect(given.read())
  let asking: Promise<boolean> | undefined

  /** False when the user gives none. */
  function askForKey({ isUnknown = false } = {}): Promise<boolean> {
    asking ??= showKeyDialog(isUnknown)
      .then((key) => {
        if (key === undefined) return false
        given.write(key)
        client = connect(key)
        return true
      })
      .finally(() => {
        asking = undefined
      })
    return asking
  }

  return {
    askForKey: () => askForKey(),

    /** Runs `use`, again after the user has given a key if one was missing or not known. */
    async with<T>(use: (client: Client) => Promise<T>): Promise<T> {
      for (;;) {
        const asked = client
        try {
          return await use(asked)
        } catch (error) {
          if (!(error instanceof PromenadeError) || error.code !== 'UNAUTHORIZED') throw error
          // Another call may have asked meanwhile.
          if (asked === client && !(await askForKey({ isUnknown: given.read() !== undefined }))) throw error
        }
      }
    },
  }
}

/** Lives as long as the tab; where the browser keeps nothing for pages, as long as the page. */
function createKeptKey() {
  const name = 'promenade.key'
  let key: string | undefined
  try {
    key = sessionStorage.getItem(name) ?? undefined
  } catch {
    // Throws by its mere name where it is not allowed.
  }
  return {
    read: () => key,
    write(given: string): void {
      key = given
      try {
        sessionStorage.setItem(name, given)
      } catch {
        // As above.
      }
    },
  }
}

function connect(apiKey: string | undefined) {
  const options = { baseUrl: location.origin, apiKey }
  return { ...createPromenadeClient(options), ...createOperatorApi(createConnection(options, systemClock)) }
}

function showKeyDialog(isUnknown: boolean): Promise<string | undefined> {
  const { key: label, keyHint, keyTitle, unknown, enter, close } = words.access
  const input = h('input', {
    ...{ id: 'key', type: 'password', autocomplete: 'off', spellcheck: 'false', required: true, pattern: keyPattern },
    'aria-describedby': 'key-hint',
  })
  const dialog = h(
    'dialog',
    { 'aria-labelledby': 'key-title' },
    h(
      'form',
      { method: 'dialog' },
      h('h2', { id: 'key-title' }, keyTitle),
      h('p', { id: 'key-hint' }, isUnknown && h('b', {}, unknown, ' '), keyHint),
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
