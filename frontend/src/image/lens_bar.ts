import { Once, fill, h, say, show } from "../dom";
import type { LensFacts } from "../documents";
import type { Session } from "../session/session";
import type { State } from "../state/state";
import { Segmented, button } from "../widgets/controls";
import { percent, sentenceCase, several } from "../words";

/** Over the image in the lens view: the kind of lens, the one it is compared with, and how far they agree. */
export class LensBar {
  readonly el: HTMLElement;
  private readonly choice = h("div", { class: "choice" });
  private readonly versus = h("select", {});
  private readonly others = h("details", { class: "unfitted" });
  private readonly waiting = h("div", { class: "waiting" });
  private readonly wait = h("span", { role: "status" });
  private readonly bar = h("progress", { "aria-label": "Layers read" });
  private readonly agreed = h("p", { class: "facts agreed", role: "status" });
  private readonly listed = new Once();
  private readonly offered = new Once();
  private kinds: Segmented<string> | null = null;

  constructor(private readonly session: Session) {
    const { store } = session;
    this.versus.addEventListener("change", () => store.set({ versus: this.versus.value }));
    const stop = button("Stop", () => this.stop(), { class: "plain" });
    this.waiting.append(this.wait, this.bar, stop);
    const compare = h("label", { class: "inline" }, "Compare with", this.versus);
    this.el = h("div", { class: "lens-bar" }, h("div", { class: "row" }, this.choice, compare), this.others, this.waiting, this.agreed);
  }

  /** Goes back to the first kind, without one beside it: what is read slowly is not wanted. */
  private stop(): void {
    const { readouts, state, store } = this.session;
    const [first] = readouts.kinds;
    store.set(readouts.on("chosen", state)?.busy && readouts.kind(state) !== first ? { lens: "", versus: "" } : { versus: "" });
  }

  update(state: State): void {
    const { manifest, readouts, sample } = this.session;
    show(this.el, state.view === "lens" && (sample?.has.lens ?? false) && manifest.lenses.length > 0);
    if (this.el.hidden) return;
    const kind = readouts.kind(state);
    this.listed.when([manifest], () => this.list(manifest.lenses));
    this.kinds?.update(kind, (name) => {
      const facts = manifest.lenses.find((one) => one.name === name);
      return facts && !facts.ok ? [facts.why, facts.command].filter(Boolean).join(": ") : "";
    });
    const { kinds } = readouts;
    this.offered.when([manifest, kind], () => {
      const each = kinds.filter((name) => name !== kind).map((name) => h("option", { value: name }, `${name} lens`));
      fill(this.versus, h("option", { value: "" }, "no other"), ...each);
    });
    show(this.versus.parentElement as HTMLElement, kinds.length > 1);
    this.versus.value = readouts.versus(state) ?? "";
    this.tell(state);
  }

  private list(lenses: readonly LensFacts[]): void {
    const choices = lenses.map(({ name, why }) => ({ value: name, label: sentenceCase(name), title: why }));
    this.kinds = new Segmented("Kind of lens", choices, (lens) => this.session.store.set({ lens }));
    fill(this.choice, this.kinds.el);
    const missing = lenses.filter((one) => !one.ok);
    show(this.others, missing.length > 0);
    const each = missing.map(({ name, why, command }) =>
      h("li", {}, `${sentenceCase(name)}: ${why}`, command !== "" && ": ", command !== "" && h("code", {}, command)),
    );
    fill(this.others, h("summary", {}, `How to get ${several(missing.length, "more kind")} of lens`), h("ul", {}, ...each));
  }

  private tell(state: State): void {
    const { readouts } = this.session;
    const sides = [readouts.on("chosen", state), readouts.on("other", state)];
    const busy = sides.find((one) => one?.busy);
    const { done, total } = busy?.progress ?? { done: 0, total: 0 };
    show(this.waiting, total > 1);
    if (busy && total > 1) {
      say(this.wait, `Reading the ${busy.kind} lens: layer ${done} of ${total}`);
      [this.bar.max, this.bar.value] = [total, done];
    }
    const found = readouts.agreement(state);
    const problem = sides[1]?.problem ?? "";
    show(this.agreed, problem !== "" || (readouts.versus(state) !== null && sides[0]?.lens !== null));
    if (problem !== "") say(this.agreed, problem);
    else if (!sides[1]?.lens) say(this.agreed, `Reading the ${readouts.versus(state)} lens…`);
    else if (!found) say(this.agreed, "The two lenses read no layer in common.");
    else {
      const layer = readouts.layer({ ...state, colouring: "top" });
      say(this.agreed, `Layer ${layer}: the same top word at ${found.same} of ${several(found.of, "token")} (${percent(found.same / Math.max(1, found.of))}).${state.colouring === "top" && found.differ.size > 0 ? " A corner marks each of the others." : ""}`);
    }
  }
}
