import WaveSurfer from 'wavesurfer.js'
import { PromenadeError, type Result } from '../client/client.ts'
import { createDeadline } from '../client/clock.ts'
import { createControls } from './controls.ts'
import { h } from './dom.ts'
import { faultOf } from './fault.ts'
import { nameOf } from './picture-name.ts'
import type { Session } from './session.ts'
import { words } from './words.ts'

const musicMs = 60_000

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
  const faults = h('div')
  const controls = createControls(audio, {
    expectedSeconds: result.music!.duration_seconds,
    onFault: (error) => faults.replaceChildren(faultOf(error, { session })),
  })
  const loading = h('p', { class: 'quiet' }, text.loadingMusic)
  const download = h('a', { class: 'button', download: fileNameOf(result), hidden: true }, text.download)

  signal.addEventListener('abort', () => {
    audio.pause()
    // It reads no more from addresses that end with the view.
    audio.removeAttribute('src')
    audio.load()
  })
  void load(result.music_url!)
  const actions = h('div', { class: 'actions' }, download, ...otherActions)
  const player = h('div', { class: 'player' }, loading, controls.element, audio, faults, actions)
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
    controls.element.hidden = false
    try {
      await drawWave(controls, { audio, music, signal })
    } catch {
      // It can be heard all the same.
      if (!signal.aborted) playFrom(ownUrl)
    }
  }

  function playFrom(url: string): void {
    controls.element.hidden = true
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
}

/** Rejects when it cannot. */
async function drawWave(
  { wave: container, playButton }: ReturnType<typeof createControls>,
  { audio, music, signal }: { audio: HTMLAudioElement; music: Blob; signal: AbortSignal },
): Promise<void> {
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
