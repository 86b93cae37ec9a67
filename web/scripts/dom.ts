/** Finding and making elements. */

/** The one element that the selector names; its absence is a mistake in the template. */
export function find<E extends Element = HTMLElement> (selector: string, root: ParentNode = document): E {
  const found = root.querySelector<E>(selector)
  if (!found) throw new Error(`the page has no ${selector}`)
  return found
}

export function findAll<E extends Element = HTMLElement> (selector: string, root: ParentNode = document): E[] {
  return [...root.querySelectorAll<E>(selector)]
}

/** Text is always text here, never markup: it may be a stranger's. */
export function make<K extends keyof HTMLElementTagNameMap> (
  tag: K, className = '', ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  if (className) element.className = className
  element.append(...children)
  return element
}

/** Writes only what changed: an unchanged text costs no layout, and a status that says the same is not read out again. */
export function setText (element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

/** Unlike `disabled`, this leaves the focus where it is: whoever presses by keyboard stays there. */
export function setDisabled (button: HTMLButtonElement, isDisabled: boolean): void {
  if (isDisabled) button.setAttribute('aria-disabled', 'true')
  else button.removeAttribute('aria-disabled')
}

export function isDisabled (button: HTMLButtonElement): boolean {
  return button.getAttribute('aria-disabled') === 'true'
}
