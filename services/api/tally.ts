export type Tally = ReturnType<typeof createTally>

/** How many each has, by name, and all together. */
export function createTally() {
  const counts = new Map<string, number>()
  let total = 0

  return {
    total: () => total,

    of: (name: string) => counts.get(name) ?? 0,

    add(name: string, more: number): void {
      total += more
      const count = (counts.get(name) ?? 0) + more
      if (count) counts.set(name, count)
      else counts.delete(name)
    },
  }
}
