import { h } from './dom.ts'
import { words } from './words.ts'

/** The first of so many files that were offered at once. */
type Take = (file: File, count: number) => void

/** A picture dropped or pasted, wherever on the page, goes to the view that takes pictures, once it is shown. */
let offered: Parameters<Take> | undefined
let taker: Take | undefined

const dropClass = 'dropping'

/** `take` gets every picture that is offered, until the signal is aborted. */
export function takePictures(take: Take, signal: AbortSignal): void {
  taker = take
  signal.addEventListener('abort', () => {
    if (taker === take) taker = undefined
  })
  if (!offered) return
  take(...offered)
  offered = undefined
}

/** For the life of the page. `lead` shows the view that takes pictures. */
export function listenForPictures(lead: () => void): void {
  const { classList } = document.documentElement
  document.body.append(h('p', { class: 'drop-here', 'aria-hidden': 'true' }, words.upload.dropHere))
  const offer = (transfer: DataTransfer | null): boolean => {
    const [file, ...others] = transfer?.files ?? []
    if (!file) return false
    const count = 1 + others.length
    if (taker) {
      taker(file, count)
      return true
    }
    offered = [file, count]
    lead()
    return true
  }
  addEventListener('dragover', (event) => {
    if (!event.dataTransfer?.types.includes('Files')) return
    event.preventDefault()
    event.dataTransfer.dropEffect = 'copy'
    classList.add(dropClass)
  })
  addEventListener('dragleave', ({ relatedTarget }) => {
    if (!relatedTarget) classList.remove(dropClass)
  })
  addEventListener('drop', (event) => {
    classList.remove(dropClass)
    if (offer(event.dataTransfer)) event.preventDefault()
  })
  addEventListener('paste', (event) => {
    // What office programs copy is text with a picture of it.
    const isWriting = event.target instanceof Element && event.target.matches('input, textarea')
    if (!isWriting && offer(event.clipboardData)) event.preventDefault()
  })
}
