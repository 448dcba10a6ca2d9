type Child = Node | string | number | false | null | undefined

/** Attributes; `on…` are listeners, `style` sets properties one by one, which the content security policy lets scripts do. */
type Attributes = Record<string, unknown> & { style?: Record<string, string> }

/** An element. Attributes that are undefined or false are left out. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  return fill(document.createElement(tag), attributes, children)
}

/** An element of SVG. */
export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[Tag] {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children)
}

function fill<T extends HTMLElement | SVGElement>(
  element: T,
  { style = {}, ...others }: Attributes,
  children: Child[],
): T {
  for (const [name, value] of Object.entries(style)) element.style.setProperty(name, value)
  for (const [name, value] of Object.entries(others)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value as EventListener)
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(
    ...children
      .filter((child): child is Node | string => child !== undefined && child !== null && child !== false)
      .map((child) => (typeof child === 'number' ? String(child) : child)),
  )
  return element
}
