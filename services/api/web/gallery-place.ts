/** What an entry of the history keeps of the gallery. */
interface Place {
  /** So many exhibits. */
  shown: number
  scrollY: number
  /** Where the exhibit leads whose link was followed last, as long as that is in sight. */
  opened?: string | undefined
}

/** Some browsers refuse to write entries more than 100 times in 30 s. */
const settleMs = 300

/** Remembers where in the gallery somebody is, and leads them there when they come back to this entry of the history. */
export function createGalleryPlace(list: HTMLElement, signal: AbortSignal) {
  const { hash } = location
  /** Until they are led there. */
  let left: Place | undefined = history.state ?? undefined
  let opened: string | undefined
  let settling: ReturnType<typeof setTimeout> | undefined
  const onScroll = () => {
    clearTimeout(settling)
    settling = setTimeout(remember, settleMs)
  }
  addEventListener('scroll', onScroll, { signal })
  signal.addEventListener('abort', () => clearTimeout(settling))
  // Before the browser follows the link.
  list.addEventListener('click', ({ target }) => {
    const exhibit = (target as Element).closest('a')?.closest('.exhibit')
    if (!exhibit) return
    opened = addressOf(exhibit)
    left = undefined
    remember()
  })

  /** Not over what is still to be led to, nor, after the address has changed, with another view. */
  function remember(): void {
    if (left || location.hash !== hash) return
    const exhibit = find(opened)
    if (!exhibit || !isInSight(exhibit)) opened = undefined
    history.replaceState({ shown: list.children.length, scrollY, opened } satisfies Place, '')
  }

  function leadTo(place: Place): void {
    opened = place.opened
    scrollTo(0, place.scrollY)
    const exhibit = find(opened)
    if (!exhibit) return
    exhibit.tabIndex = -1
    exhibit.focus({ preventScroll: true })
    // Others have come, or gone.
    if (!isInSight(exhibit)) exhibit.scrollIntoView({ block: 'center' })
  }

  function find(address: string | undefined): HTMLElement | undefined {
    if (address === undefined) return undefined
    return [...list.querySelectorAll<HTMLElement>('.exhibit')].find((exhibit) => addressOf(exhibit) === address)
  }

  return {
    /** So many exhibits are to be shown again. */
    wanted: () => left?.shown ?? 0,

    /** To be called when they are, or as many as were found. Who has gone elsewhere meanwhile is not led back. */
    settle(): void {
      const place = left
      left = undefined
      if (place && scrollY === 0 && document.activeElement?.matches('body, h1')) leadTo(place)
      remember()
    },
  }
}

function addressOf(exhibit: Element): string | undefined {
  return exhibit.querySelector('a')?.hash
}

function isInSight(element: Element): boolean {
  const { top, bottom } = element.getBoundingClientRect()
  return top < innerHeight && bottom > 0
}
