/**
 * Has `parent` hold these elements, and lets those stay that are the same already: what somebody reads, has selected or
 * scrolled is not taken away from under them.
 */
export function refresh(parent: Element, elements: Element[]): void {
  elements.forEach((element, index) => {
    const present = parent.children[index]
    if (!present) parent.append(element)
    else if (!present.isEqualNode(element)) present.replaceWith(element)
  })
  while (parent.children.length > elements.length) parent.lastElementChild!.remove()
}
