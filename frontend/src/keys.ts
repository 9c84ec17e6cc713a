import type { App } from "./app";
import { TOOLS, VIEWS } from "./state/state";

export const KEYS: readonly [string, string][] = [
  ["arrows", "move between tokens (on the image)"],
  ["space", "select or release the token; in the lens view, follow it through the layers"],
  ["shift + arrows", "select while moving"],
  ["a / i / g / Escape", "all tokens / invert / grow by a ring / none (on the image)"],
  ["1 2 3 4", "click, brush, box, lasso"],
  ["[ and ]", "previous and next layer"],
  [", and .", "previous and next image"],
  ["Alt + 1 to 6", "views: answer, lens, attention, flow, tables, images"],
  ["m", "move to the image"],
  ["?", "this list"],
];

/** Keys that work anywhere on the page but in a field; false where a key does nothing. */
export function pageKey(event: KeyboardEvent, app: App): boolean {
  const { key } = event;
  if (event.ctrlKey || event.metaKey) return false;
  const target = event.target as HTMLElement;
  if (event.altKey) {
    const view = VIEWS[Number(event.code.replace("Digit", "")) - 1];
    if (view) app.go(view);
    return view !== undefined;
  }
  const field = target instanceof HTMLInputElement && !["range", "file"].includes(target.type);
  if (field || target instanceof HTMLSelectElement) return false;
  const tool = TOOLS[Number(key) - 1];
  if (tool) app.pick(tool);
  else if (key === "[" || key === "]") layer(app, key === "]" ? 1 : -1);
  else if (key === "," || key === ".") app.move(key === "." ? 1 : -1);
  else if (key === "m") app.stage.el.focus();
  else if (key === "?") app.openHelp();
  else return false;
  return true;
}

function layer(app: App, by: number): void {
  const { state, readouts } = app.session;
  const layers = readouts.layers(state);
  const next = layers[layers.indexOf(readouts.layer(state)) + by];
  if (next === undefined) return;
  app.store.set(state.colouring === "attention" ? { block: next } : { layer: next });
}
