import WaveSurfer from 'wavesurfer.js'
import { PromenadeError, type Result } from '../client/client.ts'
import { createDeadline } from '../client/clock.ts'
import { h, svg } from './dom.ts'
import { faultOf } from './fault.ts'
import { nameOf } from './picture-name.ts'
import type { Session } from './session.ts'
import { clock, words } from './words.ts'

const musicMs = 60_000
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

/**
 * Plays the music of a result. It is loaded once: what is heard, drawn and downloaded then does not hang on an address
 * that expires. Where the page may not read it, the browser's own player plays from the address.
 */
export function showPlayer(
  result: Result,
  { session, signal }: { session: Session; signal: AbortSignal },
  otherActions: HTMLElement[],
): HTMLElement {
  const { result: text } = words
  const audio = h('audio', { preload: 'auto' })
  const icon = svg('path', { d: playIcon })
  const playLabel = h('span', {}, text.play)
  const drawing = svg('svg', { viewBox: '0 0 16 16', class: 'icon', fill: 'currentColor', 'aria-hidden': 'true' }, icon)
  const wave = h('div', { class: 'wave', role: 'slider', tabindex: 0, 'aria-label': text.position, onkeydown: seek })
  const time = h('span', { class: 'time' })
  const playButton = h('button', { type: 'button', class: 'primary play', onclick: toggle }, drawing, playLabel)
  const controls = h('div', { class: 'controls', hidden: true }, playButton, wave, time)
  const loading = h('p', { class: 'quiet' }, text.loadingMusic)
  const download = h('a', { class: 'button', download: fileNameOf(result), hidden: true }, text.download)
  const faults = h('div')

  for (const event of ['timeupdate', 'durationchange', 'seeking']) audio.addEventListener(event, showTime)
  for (const event of ['play', 'pause', 'ended']) audio.addEventListener(event, showState)
  signal.addEventListener('abort', () => {
    audio.pause()
    // It reads no more from addresses that end with the view.
    audio.removeAttribute('src')
    audio.load()
  })
  showTime()
  void load(result.music_url!)
  const actions = h('div', { class: 'actions' }, download, ...otherActions)
  const player = h('div', { class: 'player' }, loading, controls, audio, faults, actions)
  return player

  async function load(url: string): Promise<void> {
    const music = await fetchMusic(url).catch(() => undefined)
    if (signal.aborted) return
    loading.hidden = true
    download.hidden = false
    if (!music) return playFrom(url)
    const ownUrl = URL.createObjectURL(music)
    signal.addEventListener('abort', () => URL.revokeObjectURL(ownUrl))
    download.href = ownUrl
    controls.hidden = false
    try {
      await drawWave(wave, { audio, music, playButton, signal })
    } catch {
      // It can be heard all the same.
      if (!signal.aborted) playFrom(ownUrl)
    }
  }

  function playFrom(url: string): void {
    controls.hidden = true
    audio.controls = true
    download.href = url
    audio.addEventListener('error', failed, { once: true })
    audio.src = url
  }

  function failed(): void {
    if (signal.aborted) return
    // By another one: an element that has played from one address, the wave would read from there.
    const begin = (url: string) =>
      player.replaceWith(showPlayer({ ...result, music_url: url }, { session, signal }, otherActions))
    const again = () =>
      addressAnew().then(begin, (error: unknown) => {
        if (!signal.aborted) faults.replaceChildren(faultOf(error, { session, again }))
      })
    const error = new PromenadeError('NETWORK_ERROR', 'The music could not be loaded', { retryable: true })
    faults.replaceChildren(faultOf(error, { session, again }))
  }

  async function fetchMusic(url: string): Promise<Blob> {
    const deadline = createDeadline(musicMs, signal)
    deadline.start()
    try {
      // What the gallery has played from the same address is kept without the store's leave for pages to read it.
      const request = { signal: deadline.signal, cache: 'reload' } as const
      let response = await fetch(url, request)
      // It has expired.
      if (response.status === 403) response = await fetch(await addressAnew(), request)
      if (!response.ok) throw new Error(`Expected the music, and the store answered ${response.status}`)
      return await response.blob()
    } finally {
      deadline.close()
    }
  }

  async function addressAnew(): Promise<string> {
    const { key, version, take } = result
    const options = { version, take, musicUrl: 'presigned', signal } as const
    const current = await session.with((client) => client.result(key, options))
    return current.result.music_url!
  }

  async function toggle(): Promise<void> {
    if (!audio.paused) return audio.pause()
    try {
      await audio.play()
    } catch (error) {
      // Paused before it has begun.
      if (error instanceof DOMException && error.name === 'AbortError') return
      faults.replaceChildren(faultOf(error, { session }))
    }
  }

  function seek(event: KeyboardEvent): void {
    const step = stepSeconds[event.key]
    if (step === undefined && event.key !== ' ') return
    event.preventDefault()
    if (step === undefined) return void toggle()
    audio.currentTime = Math.min(Math.max(audio.currentTime + step, 0), lengthOf())
    showTime()
  }

  function showTime(): void {
    const [now, whole] = [audio.currentTime, lengthOf()]
    time.textContent = `${clock(now)} / ${clock(whole)}`
    const values = { min: 0, max: whole, now, text: text.positionOf(clock(now), clock(whole)) }
    for (const [name, value] of Object.entries(values)) wave.setAttribute(`aria-value${name}`, String(value))
  }

  function showState(): void {
    icon.setAttribute('d', audio.paused ? playIcon : pauseIcon)
    playLabel.textContent = audio.paused ? text.play : text.pause
  }

  function lengthOf(): number {
    return audio.duration > 0 ? audio.duration : result.music!.duration_seconds
  }
}

/** Rejects when it cannot. */
async function drawWave(
  container: HTMLElement,
  given: { audio: HTMLAudioElement; music: Blob; playButton: HTMLElement; signal: AbortSignal },
): Promise<void> {
  const { audio, music, playButton, signal } = given
  const colors = () => ({
    waveColor: getComputedStyle(container).color,
    progressColor: getComputedStyle(playButton).backgroundColor,
    cursorColor: getComputedStyle(playButton).backgroundColor,
  })
  const wave = WaveSurfer.create({
    container,
    media: audio,
    height: 88,
    barWidth: 3,
    barGap: 2,
    barRadius: 3,
    cursorWidth: 2,
    normalize: true,
    dragToSeek: true,
    hideScrollbar: true,
    cspNonce: document.querySelector<HTMLMetaElement>('meta[name=style-nonce]')!.nonce,
    ...colors(),
  })
  signal.addEventListener('abort', () => wave.destroy())
  // What the browser does not take for music it tells by this alone.
  const failure = new Promise<never>((_, reject) => wave.once('error', reject))
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => wave.setOptions(colors()), { signal })
  try {
    await Promise.race([wave.loadBlob(music), failure])
  } catch (error) {
    wave.destroy()
    throw error
  }
}

function fileNameOf({ key, take = 0 }: Result): string {
  return `${(nameOf(key) ?? 'promenade').replaceAll(' ', '-')}-take${take + 1}.wav`
}
