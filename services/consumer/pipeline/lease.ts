export type KeptLease = ReturnType<typeof keepLease>

/** Renewals per lease: two may fail and the third still comes in time. */
const renewalsPerLease = 4
/** Part of the lease after which it counts as lost, ahead of the database's clock. */
const usablePart = 0.9

/**
 * Keeps a lease just obtained until `end`. `signal` is aborted when the lease is lost, because `renew` answers false or has
 * not succeeded for most of a lease, and also when `parent` is. After that nothing more may be written; work that goes on all
 * the same runs out of its lease, which is renewed no more.
 */
export function keepLease({
  renew,
  leaseSeconds,
  parent,
  onError,
}: {
  /** True: it lasts `leaseSeconds` from now. False: someone else has it. */
  renew: () => Promise<boolean>
  leaseSeconds: number
  parent: AbortSignal
  /** Hears of a renewal that failed and will be tried again. */
  onError: (error: unknown) => void
}) {
  const lost = new AbortController()
  const signal = AbortSignal.any([parent, lost.signal])
  let isRenewed = true
  let ended = false
  let renewal: Promise<void> = Promise.resolve()
  let expiry = expireLater()
  let timer = renewLater()

  function expireLater(): NodeJS.Timeout {
    const expire = () => lose(`it could not be renewed within ${leaseSeconds} s`)
    return setTimeout(expire, usablePart * leaseSeconds * 1000)
  }

  function renewLater(): NodeJS.Timeout {
    const begin = () => {
      if (parent.aborted) return
      renewal = renewOnce().catch(onError)
      void renewal.then(() => {
        if (isRenewed && !lost.signal.aborted) timer = renewLater()
      })
    }
    return setTimeout(begin, (leaseSeconds * 1000) / renewalsPerLease)
  }

  /** The new lease counts from when it was asked for, not from when the answer came. */
  async function renewOnce(): Promise<void> {
    const next = expireLater()
    let renewed = false
    try {
      renewed = await renew()
      if (!renewed && !ended) lose('someone else has it')
    } finally {
      if (renewed && !ended && !lost.signal.aborted) {
        clearTimeout(expiry)
        expiry = next
      } else clearTimeout(next)
    }
  }

  async function renewNoMore(): Promise<void> {
    isRenewed = false
    clearTimeout(timer)
    await renewal
  }

  function lose(reason: string): void {
    clearTimeout(expiry)
    clearTimeout(timer)
    lost.abort(new Error(`the lease is lost: ${reason}`))
  }

  return {
    signal,
    isLost: () => lost.signal.aborted,
    lose,

    /** Renews now, before a write that cannot name the lease. Throws `signal.reason` when it is lost. */
    async confirm(): Promise<void> {
      signal.throwIfAborted()
      await renewOnce()
      signal.throwIfAborted()
    },

    /** Stops renewing, and resolves when a renewal under way has ended: what is left of the lease is for giving it up. */
    renewNoMore,

    /** So that it can be lost no more, either. */
    async end(): Promise<void> {
      ended = true
      clearTimeout(expiry)
      await renewNoMore()
    },
  }
}
