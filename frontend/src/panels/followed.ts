import { Once, fill, h } from "../dom";
import { inContext } from "../image/card";
import type { Lens, Said } from "../session/lens";
import type { Session } from "../session/session";
import type { State } from "../state/state";
import type { Ui } from "../ui";
import { UNITS, sentenceCase, valueOf, visible } from "../words";

/** Words of a lens in a row: fewer where another lens stands beside it. */
const [ALONE, BESIDE] = [5, 2];

/** One token through the layers: what the lens says at each, and what the one beside it says. */
export class Followed {
  readonly el = h("div", { class: "token-table" });
  private readonly drawn = new Once();

  constructor(
    private readonly session: Session,
    private readonly ui: Ui,
  ) {
    this.el.addEventListener("keydown", (event) => this.key(event));
  }

  update(state: State): void {
    const { readouts, picture } = this.session;
    const [lens, other] = [readouts.on("chosen", state)?.lens ?? null, readouts.on("other", state)?.lens ?? null];
    const token = state.follow ?? this.ui.cursor ?? [...state.tokens][0] ?? null;
    const layer = readouts.layer({ ...state, colouring: "top" });
    this.drawn.when([picture, lens, other, token, token === state.follow, layer], () => {
      const focused = this.el.querySelector<HTMLElement>("button:focus")?.dataset["layer"];
      if (lens && token !== null) this.draw(lens, other, token, layer);
      else fill(this.el, h("p", { class: "hint" }, "Point at a token, or move to it with the arrow keys: its best words at every layer. Click it, or press space, to follow it."));
      if (focused !== undefined) this.el.querySelector<HTMLElement>('button[tabindex="0"]')?.focus();
    });
  }

  private draw(lens: Lens, other: Lens | null, token: number, current: number): void {
    const { picture, state, store } = this.session;
    const lenses = other ? [lens, other] : [lens];
    const count = Math.min(other ? BESIDE : ALONE, ...lenses.map((one) => one.k));
    const layers = [...new Set(lenses.flatMap((one) => one.layers))].sort((a, b) => b - a);
    const rows = layers.map((layer) => {
      const label = h("button", { type: "button", class: "plain", "data-layer": layer, tabindex: layer === current ? "0" : "-1", "aria-label": `Show layer ${layer}`, onclick: () => store.set({ layer }) }, `${layer}`);
      const cells = lenses.flatMap((one) => {
        const row = one.row(layer);
        return row < 0 ? [h("td", { class: "none", colspan: count }, "not read")] : one.top(row, token).slice(0, count).map((said) => cell(said, one));
      });
      return h("tr", layer === current ? { class: "current", "aria-current": "true" } : {}, h("th", { scope: "row" }, label), ...cells);
    });
    const heads = lenses.map((one) => h("th", { scope: "colgroup", colspan: count }, `${sentenceCase(one.kind)} lens, ${UNITS[one.unit]}`));
    const name = picture?.tokenName(token) ?? "";
    const caption = h("caption", {}, `${sentenceCase(name)}: ${other ? "" : "best words by layer"}${other ? "the two lenses' best words by layer" : ""}`);
    const release = state.follow === token && h("button", { type: "button", class: "plain", onclick: () => store.set({ follow: null }) }, "Stop following this token");
    const table = h("table", { class: other ? "beside" : "" }, caption, h("thead", {}, h("tr", {}, h("th", { class: "corner" }), ...heads)), h("tbody", {}, ...rows));
    fill(this.el, table, release, ...lenses.map((one) => contexts(one, token, current)));
  }

  /** The arrow keys go to the layer above or below. */
  private key(event: KeyboardEvent): void {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const from = (event.target as HTMLElement).dataset["layer"];
    if (step === undefined || from === undefined) return;
    const all = [...this.el.querySelectorAll<HTMLElement>("[data-layer]")];
    const to = all[all.findIndex((one) => one.dataset["layer"] === from) + step];
    event.preventDefault();
    to?.focus();
    to?.click();
  }
}

function cell({ word, value, context }: Said, { unit }: Lens): HTMLElement {
  const text = visible(word.trim() || word);
  const title = context ? `${context.before}${context.word}${context.after}` : text;
  const share = `${Math.round(100 * Math.max(0, value))}%`;
  return h("td", { style: { "--p": share }, title }, h("span", {}, text), h("small", {}, valueOf(value, unit)));
}

/** The sentences behind the words of the shown layer. */
function contexts(lens: Lens, token: number, layer: number): HTMLElement | null {
  const row = lens.row(layer);
  const found = row < 0 ? [] : lens.top(row, token).filter((one) => one.context !== null);
  if (found.length === 0) return null;
  const each = found.map(({ value, context }) => h("li", {}, context && inContext(context, valueOf(value, lens.unit))));
  return h("section", { class: "contexts" }, h("h3", {}, `In context at layer ${layer}`), h("ul", {}, ...each));
}
