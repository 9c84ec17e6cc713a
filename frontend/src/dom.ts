/** Elements from code. Strings become text nodes or attributes, never markup. */

type Props = Record<string, unknown>;
type Child = Node | string | null | undefined | false;

function apply(node: Element, props: Props): void {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) {
      node.addEventListener(name.slice(2), value as EventListener);
    } else if (name === "style") {
      for (const [key, one] of Object.entries(value as Record<string, string>)) {
        (node as HTMLElement).style.setProperty(key, one);
      }
    } else {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  apply(node, props);
  node.append(...children.filter((child): child is Node | string => !!child || child === ""));
  return node;
}

export function s<K extends keyof SVGElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  apply(node, props);
  node.append(...children.filter((child): child is Node | string => !!child || child === ""));
  return node;
}

export function fill(node: Element, ...children: Child[]): void {
  node.replaceChildren(...children.filter((child): child is Node | string => !!child));
}

/** Sets text only where it changed: a screen reader would read it again. */
export function say(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node: HTMLElement, visible: boolean): void {
  if (node.hidden === visible) node.hidden = !visible;
}

/** Runs `make` again only when `key` changed. */
export class Once {
  private key: unknown[] | null = null;

  when(key: unknown[], make: () => void): void {
    if (this.key && this.key.every((one, i) => Object.is(one, key[i]))) return;
    this.key = key;
    make();
  }
}

const ICONS: Record<string, string> = {
  click: "M5 3l5.5 13 2-5.2L18 9z",
  brush: "M13 3l4 4-7 7-4-4zM5 11l4 4c-1 2-4 2.5-6 2 1.5-1 .8-3.5 2-6z",
  box: "M3.5 4.5h13v11h-13z",
  lasso: "M10 4c4 0 7 2 7 4.5S14 13 10 13s-7-2-7-4.5S6 4 10 4zM6 12.5c-1.5 1-1.5 3.5.5 4.5",
  play: "M6 4l10 6-10 6z",
  pause: "M6 4h3v12H6zM11 4h3v12h-3z",
  plus: "M10 4v12M4 10h12",
  close: "M5 5l10 10M15 5L5 15",
  sun: "M10 6.5a3.5 3.5 0 100 7 3.5 3.5 0 000-7zM10 2v2M10 16v2M2 10h2M16 10h2M4.300 4.300l1.5 1.5M14.200 14.200l1.5 1.5M15.700 4.300l-1.5 1.5M5.800 14.200l-1.5 1.5",
  moon: "M15.5 12.5A6.5 6.5 0 017.5 4.5a6.5 6.5 0 108 8z",
  keys: "M2.5 5.5h15v9h-15zM5 8h1M8 8h1M11 8h1M14 8h1M6 11.5h8",
};

export function icon(name: string): SVGSVGElement {
  const path = s("path", { d: ICONS[name] ?? "" });
  return s("svg", { viewBox: "0 0 20 20", class: "icon", "aria-hidden": "true" }, path);
}
