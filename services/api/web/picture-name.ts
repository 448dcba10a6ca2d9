/** What the user calls the picture; undefined when its name says nothing but an id. */
export function nameOf(key: string): string | undefined {
  const name = key
    .split('/')
    .at(-1)!
    .replace(/\.\w{1,5}$/, '')
    .replaceAll(/[-_]+/g, ' ')
    .trim()
  return name === '' || /^[0-9a-f]{8}( [0-9a-f]{4}){3} [0-9a-f]{12}$/i.test(name) ? undefined : name
}
