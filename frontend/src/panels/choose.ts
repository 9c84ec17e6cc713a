import { Once, fill, h, say } from "../dom";
import { grow, randomOthers } from "../geometry/select";
import { OBJECT_COLOURS } from "../session/picture";
import type { Session } from "../session/session";
import type { State } from "../state/state";
import type { Ui } from "../ui";
import { button } from "../widgets/controls";
import { several } from "../words";
import { Step } from "./step";

/** Step 1: which tokens. */
export class Choose {
  readonly step = new Step(1, "Choose tokens");
  private readonly chips = h("div", { class: "chips", role: "group", "aria-label": "Objects" });
  private readonly count = h("span", { class: "count", role: "status" });
  private readonly made = new Once();
  private seed = 0;
  private readonly tools: HTMLElement;

  constructor(
    private readonly session: Session,
    private readonly ui: Ui,
  ) {
    const set = (make: (tokens: ReadonlySet<number>) => Iterable<number>) => () =>
      session.store.set({ tokens: new Set(make(session.state.tokens)) });
    this.tools = h(
      "div",
      { class: "row small" },
      this.count,
      h("span", { class: "space" }),
      button("Grow", set((tokens) => this.grown(tokens)), { class: "plain", title: "Add one ring of tokens around (g)" }),
      button("Invert", set((tokens) => this.others(tokens)), { class: "plain", title: "All other tokens (i)" }),
      button("Random", set((tokens) => this.random(tokens.size)), { class: "plain", title: "As many tokens at random, as a control" }),
      button("Clear", set(() => []), { class: "plain", title: "No tokens (Escape)" }),
    );
    this.step.body.append(this.chips, this.tools);
  }

  private grown(tokens: ReadonlySet<number>): Iterable<number> {
    const { picture } = this.session;
    return picture ? grow(picture.boxes, tokens) : tokens;
  }

  private others(tokens: ReadonlySet<number>): number[] {
    return (this.session.picture?.order(this.session.state.frame) ?? []).filter((t) => !tokens.has(t));
  }

  private random(count: number): number[] {
    this.seed += 1;
    return randomOthers(this.session.picture?.n ?? 0, new Set(), Math.max(1, count), this.seed);
  }

  update(state: State): void {
    const { picture } = this.session;
    const n = picture?.n ?? 0;
    const shapes = picture?.shapes ?? [];
    this.made.when([picture], () => fill(this.chips, ...shapes.map((_, i) => this.chip(i))));
    this.chips.hidden = shapes.length === 0;
    shapes.forEach(({ tokens }, i) => {
      const same = tokens.size > 0 && tokens.size === state.tokens.size && [...tokens].every((t) => state.tokens.has(t));
      this.chips.children[i]?.setAttribute("aria-pressed", `${same}`);
    });
    say(this.count, n === 0 ? "" : `${state.tokens.size} of ${several(n, "token")} selected`);
    this.tools.hidden = n === 0;
    const done = state.tokens.size > 0;
    const hint = n === 0
      ? (this.session.asking.busy ? "The model reads the image…" : "First drop an image: its visual tokens then lie on it as a grid.")
      : shapes.length > 0
        ? "Press an object's name, or paint on the image."
        : "Click or paint on the image: the tokens that show the thing you ask about.";
    this.step.update(done ? "done" : n > 0 ? "now" : "later", hint);
  }

  private chip(i: number): HTMLButtonElement {
    const shape = this.session.picture?.shapes[i];
    const name = shape?.object.name ?? "";
    const over = (object: number | null) => () => {
      this.ui.object = object;
      this.session.store.touch();
    };
    const press = (event: MouseEvent) => {
      const before = event.shiftKey ? this.session.state.tokens : [];
      this.session.store.set({ tokens: new Set([...before, ...(shape?.tokens ?? [])]) });
    };
    return h(
      "button",
      {
        type: "button",
        class: "chip",
        title: "Select this object's tokens (with Shift, add them)",
        onclick: press,
        onpointerenter: over(i),
        onpointerleave: over(null),
        onfocus: over(i),
        onblur: over(null),
      },
      h("i", { class: "swatch", style: { background: OBJECT_COLOURS[i % OBJECT_COLOURS.length] as string } }),
      name,
      h("small", {}, `${shape?.tokens.size ?? 0}`),
    );
  }
}
