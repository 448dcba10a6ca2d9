import { h } from './dom.ts'
import { words } from './words.ts'

/** A picture dropped or pasted, wherever on the page, goes to the view that takes pictures, once it is shown. */
let offered: File | undefined
let taker: ((file: File) => void) | undefined

const dropClass = 'dropping'

/** `take` gets every picture that is offered, until the signal is aborted. */
export function takePictures(take: (file: File) => void, signal: AbortSignal): void {
  taker = take
  signal.addEventListener('abort', () => {
    if (taker === take) taker = undefined
  })
  if (!offered) return
  take(offered)
  offered = undefined
}

/** For the life of the page. `lead` shows the view that takes pictures. */
export function listenForPictures(lead: () => void): void {
  const { classList } = document.documentElement
  document.body.append(h('p', { class: 'drop-here', 'aria-hidden': 'true' }, words.upload.dropHere))
  const offer = (transfer: DataTransfer | null): boolean => {
    const file = transfer?.files[0]
    if (!file) return false
    if (taker) {
      taker(file)
      return true
    }
    offered = file
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
