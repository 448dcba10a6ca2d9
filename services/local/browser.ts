import open from 'open'

/** Opens an address in the user's browser, which outlives this process; `onFailure` is called where none can be opened. */
export async function openInBrowser(address: string, onFailure: () => void): Promise<void> {
  try {
    const launcher = await open(address)
    launcher.once('exit', (status) => {
      if (status !== 0) onFailure()
    })
  } catch {
    onFailure()
  }
}
