import { h, svg } from './dom.ts'
import { clock, words } from './words.ts'

const stepSeconds: Record<string, number> = {
  ArrowLeft: -1,
  ArrowDown: -1,
  ArrowRight: 1,
  ArrowUp: 1,
  PageDown: -5,
  PageUp: 5,
  Home: -Number.MAX_VALUE,
  End: Number.MAX_VALUE,
}
const playIcon = 'M4 2v12l10-6z'
const pauseIcon = 'M3 2h4v12H3zM9 2h4v12H9z'

/** The button, the position and the time of what `audio` plays; the wave is drawn where the position is. */
export function createControls(
  audio: HTMLAudioElement,
  { expectedSeconds, onFault }: { expectedSeconds: number; onFault: (error: unknown) => void },
) {
  const { result: text } = words
  const icon = svg('path', { d: playIcon })
  const playLabel = h('span', {}, text.play)
  const drawing = svg('svg', { viewBox: '0 0 16 16', class: 'icon', fill: 'currentColor', 'aria-hidden': 'true' }, icon)
  const wave = h('div', {
    ...{ class: 'wave', role: 'slider', tabindex: 0, 'aria-label': text.position },
    ...{ onkeydown: seek, onfocus: tellTime },
  })
  const time = h('span', { class: 'time' })
  const playButton = h('button', { type: 'button', class: 'primary play', onclick: toggle }, drawing, playLabel)
  const element = h('div', { class: 'controls', hidden: true }, playButton, wave, time)
  for (const event of ['timeupdate', 'durationchange', 'seeking']) audio.addEventListener(event, showTime)
  for (const event of ['durationchange', 'seeking', 'pause']) audio.addEventListener(event, tellTime)
  for (const event of ['play', 'pause', 'ended']) audio.addEventListener(event, showState)
  showTime()
  tellTime()
  return { element, wave, playButton }

  async function toggle(): Promise<void> {
    if (!audio.paused) return audio.pause()
    try {
      await audio.play()
    } catch (error) {
      // Paused before it has begun.
      if (error instanceof DOMException && error.name === 'AbortError') return
      onFault(error)
    }
  }

  function seek(event: KeyboardEvent): void {
    // Shift alone changes nothing about a slider; with the others the key is the browser's or the system's.
    if (event.altKey || event.ctrlKey || event.metaKey) return
    const step = stepSeconds[event.key]
    if (step === undefined && event.key !== ' ') return
    event.preventDefault()
    if (step === undefined) return void toggle()
    audio.currentTime = Math.min(Math.max(audio.currentTime + step, 0), lengthOf())
    showTime()
    tellTime()
  }

  function showTime(): void {
    time.textContent = `${clock(audio.currentTime)} / ${clock(lengthOf())}`
  }

  /** Not as it plays on: a screen reader would say every change over the music. */
  function tellTime(): void {
    const [now, whole] = [audio.currentTime, lengthOf()]
    const values = { min: 0, max: whole, now, text: text.positionOf(clock(now), clock(whole)) }
    for (const [name, value] of Object.entries(values)) wave.setAttribute(`aria-value${name}`, String(value))
  }

  function showState(): void {
    icon.setAttribute('d', audio.paused ? playIcon : pauseIcon)
    playLabel.textContent = audio.paused ? text.play : text.pause
  }

  function lengthOf(): number {
    return audio.duration > 0 ? audio.duration : expectedSeconds
  }
}
