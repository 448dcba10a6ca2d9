import { pictureTypes } from '#shared/contract/picture-type.ts'
import { type PictureType, PromenadeError } from '../client/client.ts'
import { resultAddress } from './address.ts'
import { h } from './dom.ts'
import { faultOf } from './fault.ts'
import type { View } from './main.ts'
import { takePictures } from './offered-picture.ts'
import { sendForm } from './send-form.ts'
import { fileSize, number, percent, words } from './words.ts'

const types = Object.values(pictureTypes)
const extensions: Record<string, PictureType> = {
  ...Object.fromEntries(types.map(({ extension, contentType }) => [extension, contentType])),
  jpeg: 'image/jpeg',
  tif: 'image/tiff',
}
/** Of what is sent; each is announced. */
const announcedSteps = 4

/** What the view of its result knows of it before the service does. `at` is in milliseconds since 1970. */
export let lastUpload: { key: string; file: File; at: number; leftOut: string } | undefined

export async function showUpload({ main, session, signal }: View): Promise<void> {
  const { upload } = words
  const announcement = h('p', { class: 'unseen', role: 'status' })
  const leftOut = h('p', { role: 'status' })
  const chosen = h('section', { class: 'chosen', 'aria-label': upload.chosen, hidden: true })
  const chooseButton = h(
    'button',
    { type: 'button', class: 'primary', onclick: () => anyPicture.click() },
    upload.choose,
  )
  const anyPicture = fileInput({})
  const photograph = fileInput({ capture: 'environment' })
  let sending = new AbortController()

  main.append(
    h('h1', {}, upload.title),
    h('p', { class: 'lead' }, upload.lead),
    h(
      'section',
      { class: 'choose', 'aria-label': upload.choose },
      h(
        'div',
        { class: 'actions' },
        chooseButton,
        h('button', { type: 'button', class: 'photograph', onclick: () => photograph.click() }, upload.photograph),
      ),
      h('p', {}, upload.drop),
      h('p', { class: 'quiet' }, upload.kinds),
      anyPicture,
      photograph,
    ),
    leftOut,
    chosen,
    announcement,
    h('p', { class: 'quiet' }, upload.kept),
  )
  signal.addEventListener('abort', () => sending.abort())
  takePictures(choose, signal)

  /** Not in sight: the buttons open it. */
  function fileInput(attributes: { capture?: string }): HTMLInputElement {
    const accept = types.map(({ contentType }) => contentType).join()
    const input = h('input', { type: 'file', accept, hidden: true, ...attributes })
    input.addEventListener('change', () => {
      const file = input.files?.[0]
      // The same file may be chosen again.
      input.value = ''
      if (file) choose(file)
    })
    return input
  }

  function choose(file: File, count = 1): void {
    sending.abort()
    chooseButton.textContent = upload.another
    leftOut.textContent = count > 1 ? upload.onlyFirst(number(count)) : ''
    const state = h('div', { class: 'state' })
    const about = h(
      'div',
      { class: 'about' },
      h('p', {}, h('b', {}, file.name), ' ', h('span', { class: 'quiet' }, fileSize(file.size))),
      state,
    )
    chosen.replaceChildren(previewOf(file), about)
    chosen.hidden = false
    chosen.scrollIntoView({ block: 'nearest' })
    void send(file, state)
  }

  /** Ends by showing the result, or in `state` what has come of it. */
  async function send(file: File, state: HTMLElement): Promise<void> {
    const controller = new AbortController()
    const { signal: sent } = controller
    sending = controller
    const again = () => void send(file, state)
    addEventListener('beforeunload', (event) => event.preventDefault(), { signal: sent })
    const tell = showProgress(state)
    try {
      const type = checkedType(file)
      const key = await session.with(async (client) => {
        const order = { content_type: type, size_bytes: file.size, ...(file.name && { filename: file.name }) }
        const presigned = await client.createUpload(order, { signal: sent })
        if (presigned.upload.method !== 'POST') throw new TypeError('Expected a form')
        await sendForm(presigned.upload, file, { signal: sent, onProgress: tell })
        return presigned.key
      })
      lastUpload = { key, file, at: Date.now(), leftOut: leftOut.textContent }
      location.hash = resultAddress({ key })
    } catch (error) {
      if (signal.aborted || state !== chosen.querySelector('.state')) return
      announcement.textContent = ''
      const hadFocus = state.contains(document.activeElement)
      const retry = h('button', { type: 'button', class: 'primary', onclick: again }, upload.upload)
      if (sent.aborted) {
        announcement.textContent = upload.canceled
        state.replaceChildren(h('p', {}, upload.canceled), retry)
      } else {
        const isHopeless = error instanceof PromenadeError && /^IMAGE_/.test(error.code)
        state.replaceChildren(faultOf(error, { session, again: isHopeless ? undefined : again }))
      }
      if (hadFocus) (state.querySelector('button') ?? chooseButton).focus()
    } finally {
      controller.abort()
    }
  }

  /** Answers with what is to be told of how much is sent. */
  function showProgress(state: HTMLElement): (sent: number) => void {
    const bar = h('progress', { max: 1, value: 0, 'aria-label': upload.uploading })
    const text = h('p', {}, `${upload.uploading}…`)
    const cancel = h('button', { type: 'button', onclick: () => sending.abort() }, upload.cancel)
    const hadFocus = state.contains(document.activeElement)
    state.replaceChildren(text, bar, cancel)
    if (hadFocus) cancel.focus()
    announcement.textContent = upload.uploading
    let announced = 0
    return (sent) => {
      bar.value = sent
      text.textContent = `${upload.uploading}… ${percent(sent)}`
      const step = Math.floor(sent * announcedSteps)
      if (step === announced) return
      announced = step
      announcement.textContent = text.textContent
    }
  }
}

/** Not every browser shows every kind that the service reads. */
function previewOf(file: File): HTMLElement {
  const url = URL.createObjectURL(file)
  const image = h('img', { src: url, alt: words.upload.preview })
  const revoke = () => URL.revokeObjectURL(url)
  image.addEventListener('load', revoke)
  image.addEventListener('error', () => {
    revoke()
    image.replaceWith(h('p', { class: 'quiet' }, words.upload.noPreview))
  })
  return h('div', { class: 'preview' }, image)
}

/** Throws PromenadeError for what need not be uploaded to be refused. */
function checkedType({ type, name, size }: File): PictureType {
  const extension = name.split('.').at(-1)!.toLowerCase()
  const known = types.find(({ contentType }) => contentType === type)?.contentType
  const found = known ?? (type === '' && Object.hasOwn(extensions, extension) ? extensions[extension] : undefined)
  const hopeless = { retryable: false }
  if (!found) throw new PromenadeError('IMAGE_UNSUPPORTED_TYPE', 'The file is of another type', hopeless)
  if (size === 0) throw new PromenadeError('IMAGE_EMPTY', 'The file is empty', hopeless)
  return found
}
