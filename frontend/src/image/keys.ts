import { neighbour } from "../geometry/hit";
import { grow } from "../geometry/select";
import type { Picture } from "../session/picture";
import type { Session } from "../session/session";
import { pressed } from "./follow";
import type { Ui } from "../ui";

const ARROWS: Record<string, "left" | "right" | "up" | "down"> = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
};

/** What a key does on the image; false where it does nothing there. */
export function stageKey(
  key: string,
  shift: boolean,
  picture: Picture,
  session: Session,
  ui: Ui,
): boolean {
  const { state, store } = session;
  const order = picture.order(state.frame);
  const direction = ARROWS[key];
  if (direction) {
    const from = ui.cursor;
    const to = from === null ? order[0] : neighbour(picture.boxes, order, from, direction);
    if (to === null || to === undefined) return true;
    ui.cursor = to;
    if (shift) store.set({ tokens: new Set([...state.tokens, to]) });
    store.touch();
    return true;
  }
  if (key === " " || key === "Enter") {
    if (ui.cursor === null) return true;
    store.set(pressed(state, ui.cursor));
    return true;
  }
  if (key === "Escape") {
    store.set({ tokens: new Set(), follow: null });
    return true;
  }
  if (key === "a") store.set({ tokens: new Set(order) });
  else if (key === "i") store.set({ tokens: new Set(order.filter((t) => !state.tokens.has(t))) });
  else if (key === "g") store.set({ tokens: grow(picture.boxes, state.tokens) });
  else return false;
  return true;
}
