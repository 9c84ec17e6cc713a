import type { State } from "../state/state";

/** One tab of the page. */
export interface Panel {
  readonly el: HTMLElement;
  update(state: State): void;
  /** The charts that an export of this view holds beside the image, top to bottom. */
  figures(): SVGSVGElement[];
  /** Pictures of pixels, which come before the charts. */
  pictures?(): HTMLCanvasElement[];
  /** The Python that gives what the view shows. */
  python(state: State): string;
}

/** Room for a chart inside a panel, in CSS pixels. */
export function roomIn(element: HTMLElement): number {
  return Math.max(220, Math.floor(element.clientWidth) || 420);
}
