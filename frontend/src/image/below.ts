import { css } from "../colour/maps";
import type { Quantity } from "../colour/quantity";
import { Once, fill, h, say, show } from "../dom";
import type { Side } from "../session/readouts";
import type { Session } from "../session/session";
import type { State } from "../state/state";
import { pressed } from "./follow";
import type { Ui } from "../ui";

/** What colours mean: a name, and the numbers at both ends of a ramp. */
class Legend {
  private readonly low = h("span", {});
  private readonly high = h("span", {});
  private readonly name = h("span", { class: "name" });
  private readonly ramp = h("canvas", { width: "256", height: "1", class: "ramp", "aria-hidden": "true" });
  readonly el = h("div", { class: "scale-row" }, this.name, h("span", { class: "scale" }, this.low, this.ramp, this.high));
  private readonly ramped = new Once();

  update(quantity: Quantity | null): void {
    show(this.el, quantity !== null);
    if (!quantity) return;
    const { scale } = quantity;
    say(this.name, quantity.name);
    say(this.low, scale.low);
    say(this.high, scale.high);
    this.ramped.when([scale.map], () => {
      const data = new ImageData(256, 1);
      new Uint32Array(data.data.buffer).set(scale.map);
      this.ramp.getContext("2d")?.putImageData(data, 0, 0);
    });
  }
}

/** Under the image: what the colours mean, and the tokens that have no place in it. */
export class Below {
  readonly el: HTMLElement;
  private readonly legends: readonly (readonly [Side, Legend])[] = [
    ["chosen", new Legend()],
    ["other", new Legend()],
  ];
  private readonly loose = h("div", { class: "loose" });
  private readonly note = h("p", { class: "facts" });
  private readonly title = h("p", { class: "facts" });
  private readonly list = h("div", { class: "loose-list", role: "group", "aria-label": "Tokens without a place in the image" });
  private readonly listed = new Once();

  constructor(
    private readonly session: Session,
    private readonly ui: Ui,
  ) {
    this.loose.append(this.title, this.list);
    this.el = h("div", { class: "below" }, ...this.legends.map(([, legend]) => legend.el), this.loose, this.note);
  }

  update(state: State): void {
    const { picture, readouts, sample } = this.session;
    for (const [side, legend] of this.legends) {
      legend.update(side === "other" && state.colouring === "attention" ? null : readouts.quantity(state, side));
    }
    const notes = ["chosen", "other"] as const satisfies Side[];
    const read = state.view === "lens" ? notes.map((side) => readouts.on(side, state)?.lens?.note) : [];
    say(this.note, [...new Set([sample?.note, ...read])].filter(Boolean).join(" "));
    show(this.note, this.note.textContent !== "");
    const loose = sample?.visual?.unplaced ?? [];
    show(this.loose, loose.length > 0);
    if (loose.length === 0) return;
    say(this.title, `${loose.length} of ${picture?.n ?? 0} visual tokens have no place in the image:`);
    this.listed.when([sample], () => fill(this.list, ...loose.map(({ token, label }) => this.chip(token, label))));
    const colours = readouts.tokenColours(state);
    loose.forEach(({ token }, i) => {
      const chip = this.list.children[i] as HTMLElement | undefined;
      if (!chip) return;
      chip.setAttribute("aria-pressed", `${state.tokens.has(token)}`);
      const colour = colours?.[token] ?? 0;
      chip.style.setProperty("--colour", colour === 0 ? "transparent" : css(colour));
    });
  }

  private chip(token: number, label: string): HTMLButtonElement {
    const { store } = this.session;
    const over = (cursor: number | null) => () => {
      this.ui.cursor = cursor;
      store.touch();
    };
    const press = () => {
      store.set(pressed(this.session.state, token));
    };
    return h("button", { type: "button", title: label, "aria-label": label, onclick: press, onfocus: over(token), onpointerenter: over(token), onpointerleave: over(null) }, `${token}`);
  }
}
