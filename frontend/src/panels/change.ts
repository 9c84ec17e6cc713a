import { type Bar, type Level, barsChart } from "../charts/bars";
import { curveChart } from "../charts/curve";
import type { Candidate } from "../documents";
import { Once, h, say, show } from "../dom";
import { grow } from "../geometry/select";
import type { Session } from "../session/session";
import { type EditKind, FILL_WORDS, type Fill, editWords } from "../state/edits";
import type { State } from "../state/state";
import { Segmented, button } from "../widgets/controls";
import { SpanSlider } from "../widgets/span";
import { milliseconds, several } from "../words";
import { Donor } from "./donor";
import { roomIn } from "./panel";
import { Step } from "./step";
import { verdictOf } from "./verdict";

/** Step 3 with a model: an edit of the tokens, and what it does to the answer. */
export class Change {
  readonly step = new Step(3, "Take it away and compare");
  private readonly kind: Segmented<EditKind>;
  private readonly fillChoice: Segmented<Fill>;
  private readonly target: Segmented<"last" | "question">;
  private readonly meaning = h("p", { class: "meaning" });
  private readonly span: SpanSlider;
  private readonly spanBox: HTMLElement;
  private readonly spanTitle = h("span", { class: "title" });
  private readonly curve = h("div", { class: "curve-box" });
  private readonly sweep = button("Which layers matter? Draw the curve", () => void this.sweepPress(), { class: "sweep" });
  private readonly width = h("select", { "aria-label": "Layers cut at a time" });
  private readonly sweepBox: HTMLElement;
  private readonly donor: Donor;
  private readonly verdict = h("p", { class: "verdict", role: "status", "aria-live": "polite" });
  private readonly after = h("p", { class: "facts" });
  private readonly bars = h("div", { class: "bars-box" });
  private readonly legend = legend();
  private readonly stack = h("ol", { class: "stack" });
  private readonly more = h(
    "p",
    { class: "hint" },
    "No change? Tokens around an object carry it too. ",
    button("Add one ring around", () => this.grow(), { class: "plain" }),
  );
  private readonly keep = button("Keep this edit and add another", () => this.keepDraft(), { class: "plain" });
  private readonly barsMade = new Once();
  private readonly curveMade = new Once();
  private readonly stackMade = new Once();

  constructor(private readonly session: Session) {
    const { store } = session;
    this.kind = new Segmented<EditKind>(
      "Edit",
      [
        { value: "ablate", label: "Ablate", title: "Replace the tokens before the first layer" },
        { value: "knockout", label: "Cut", title: "Cut attention edges from the tokens, layer by layer" },
        { value: "patch", label: "Patch", title: "Put in the same tokens of another image" },
      ],
      (kind) => store.set({ kind }),
    );
    const fills = (Object.keys(FILL_WORDS) as Fill[]).map((value) => ({ value, label: FILL_LABELS[value] }));
    this.fillChoice = new Segmented("Replace by", fills, (value) => store.set({ fill: value }));
    this.target = new Segmented(
      "Cut edges to",
      [
        { value: "last", label: "last token", title: "The position that predicts the answer" },
        { value: "question", label: "question", title: "The tokens of the question" },
      ],
      (target) => store.set({ target }),
    );
    this.span = new SpanSlider("Layers", (first, last) => store.set({ cut: [first, last] }));
    this.spanBox = h("div", { class: "span-box" }, this.spanTitle, this.curve, this.span.el);
    this.width.addEventListener("change", () => store.set({ width: Number(this.width.value) }));
    this.sweepBox = h("div", { class: "row" }, this.sweep, h("label", { class: "inline" }, this.width, "at a time"));
    this.donor = new Donor(session);
    this.step.body.append(
      h("div", { class: "row" }, this.kind.el, this.fillChoice.el, this.target.el),
      this.meaning,
      this.donor.el,
      this.sweepBox,
      this.spanBox,
      this.verdict,
      this.more,
      this.bars,
      this.legend,
      this.after,
      h("div", { class: "row small" }, this.keep),
      this.stack,
    );
  }

  private grow(): void {
    const { picture, state, store } = this.session;
    if (picture) store.set({ tokens: grow(picture.boxes, state.tokens) });
  }

  private keepDraft(): void {
    const { state, store, effects } = this.session;
    const draft = effects.draft(state);
    if (draft) store.set({ kept: [...state.kept, draft], tokens: new Set() });
  }

  private async sweepPress(): Promise<void> {
    const { sweeping } = this.session;
    if (sweeping.busy) {
      sweeping.cancel();
      this.session.store.touch();
    } else {
      this.session.store.set({ kind: "knockout" });
      await sweeping.start();
    }
  }

  update(state: State): void {
    const { session } = this;
    const { effects, sweeping } = session;
    const ready = session.run !== null;
    const draft = effects.draft(state);
    const chosen = state.tokens.size > 0;
    const hint = !ready || (!chosen && state.kept.length === 0)
      ? "Choose tokens above: the answer without them appears here at once."
      : (effects.problem ?? "");
    this.step.el.classList.toggle("bad", effects.problem !== null);
    this.step.update(!ready || (!chosen && state.kept.length === 0) ? "later" : "now", hint);
    this.kind.update(state.kind, (value) => this.refused(value));
    this.fillChoice.update(state.fill);
    this.target.update(state.target);
    show(this.fillChoice.el, state.kind === "ablate");
    show(this.target.el, state.kind === "knockout");
    say(this.meaning, this.meaningOf(state));
    show(this.donor.el, state.kind === "patch");
    this.donor.update(state);
    this.updateSpan(state);
    show(this.sweepBox, state.kind !== "patch");
    show(this.width.parentElement as HTMLElement, state.kind === "knockout");
    this.sweep.disabled = !chosen || !ready || this.refused("knockout") !== "";
    const { progress } = sweeping;
    say(this.sweep, sweeping.busy ? `Stop (${progress?.done ?? 0} of ${progress?.total ?? "…"})` : SWEEP);
    this.updateResult(state);
    show(this.keep, draft !== null && state.kept.length < 15);
    this.updateStack(state);
  }

  private refused(kind: EditKind): string {
    const { ok, why } = this.session.can(kind);
    return ok ? "" : why;
  }

  private meaningOf(state: State): string {
    if (state.kind === "ablate") {
      const mean = this.session.manifest.mean;
      const of = state.fill === "mean" && mean ? ` (${mean})` : "";
      return `Each selected token is replaced by ${FILL_WORDS[state.fill]}${of} before the first layer.`;
    }
    if (state.kind === "knockout") {
      const target = state.target === "last" ? "the last token" : "the question's tokens";
      return `The tokens stay, but ${target} may not read them in these layers.`;
    }
    return "Each selected token takes the state that the other image has at the same place.";
  }

  private updateSpan(state: State): void {
    const { effects, blocks, sweeping } = this.session;
    show(this.spanBox, state.kind !== "ablate");
    if (state.kind === "ablate" || blocks === 0) return;
    const [first, last] = effects.layers(state);
    const most = state.kind === "patch" ? blocks : blocks - 1;
    say(this.spanTitle, first === last ? `Layer ${first}` : `Layers ${first} to ${last}`);
    this.span.update(first, last, most);
    const curve = state.kind === "knockout" ? sweeping.curve : null;
    show(this.curve, curve !== null || sweeping.problem !== null);
    const width = roomIn(this.step.body);
    this.curveMade.when([curve, first, last, width, sweeping.problem], () => {
      if (sweeping.problem !== null) this.curve.replaceChildren(h("p", { class: "problem" }, sweeping.problem));
      if (!curve) return;
      const word = curve.word.trim();
      const chart = curveChart(
        {
          windows: curve.windows,
          series: [{ name: `"${word}"`, values: curve.probs, tone: "main" }],
          before: curve.before,
          layers: blocks,
          marked: [first, last],
          width,
          label: `Probability of "${word}" with the edges cut in each window of layers`,
        },
        (i) => {
          const window = curve.windows[i];
          if (window) this.session.store.set({ cut: [window.first, window.last] });
        },
      );
      const at = document.activeElement?.getAttribute("aria-label");
      const title = `P("${word}") when these layers are cut; dashed: nothing cut. ${several(curve.windows.length, "cut")} in ${milliseconds(curve.ms)}`;
      this.curve.replaceChildren(h("p", { class: "facts" }, title), chart);
      const again = [...chart.querySelectorAll<SVGElement>(".pick")].find((one) => one.getAttribute("aria-label") === at);
      again?.focus();
    });
    const widths = Array.from({ length: Math.min(12, blocks) }, (_, i) => i + 1);
    if (this.width.options.length !== widths.length) {
      this.width.replaceChildren(...widths.map((n) => h("option", { value: n }, several(n, "layer"))));
    }
    this.width.value = `${sweeping.width(state)}`;
  }

  private updateResult(state: State): void {
    const { effect, control, written, busy } = this.session.effects;
    const shown = effect !== null;
    for (const node of [this.verdict, this.more, this.bars, this.legend, this.after]) show(node, shown);
    this.step.body.classList.toggle("busy", busy);
    if (!effect) return;
    const said = this.session.answer;
    const texts = written && said ? { before: said.text, after: written.text } : null;
    const { text, changed } = verdictOf(effect, control, texts);
    say(this.verdict, text);
    this.verdict.dataset["changed"] = `${changed}`;
    say(this.after, `The answer's first token, the most probable words. ${milliseconds(effect.ms)} (${effect.path})`);
    show(this.more, !changed && texts !== null && state.tokens.size > 0 && state.tokens.size < (this.session.picture?.n ?? 0));
    show(this.legend.lastElementChild as HTMLElement, control !== null);
    const width = roomIn(this.step.body);
    this.barsMade.when([effect, control, width], () => {
      this.bars.replaceChildren(barsChart(barsOf(effect, control), width, effect.before.chosen.word));
    });
  }

  private updateStack(state: State): void {
    this.stackMade.when([state.kept], () => {
      this.stack.replaceChildren(
        ...state.kept.map((edit, i) =>
          h(
            "li",
            {},
            h("span", {}, editWords(edit)),
            button("Take back", () => this.session.store.set({ kept: state.kept.filter((_, j) => j !== i), tokens: new Set(edit.tokens) }), { class: "plain" }),
            button("Remove", () => this.session.store.set({ kept: state.kept.filter((_, j) => j !== i) }), { class: "plain" }),
          ),
        ),
      );
    });
  }

  charts(): SVGSVGElement[] {
    const boxes = [this.spanBox.hidden ? null : this.curve, this.bars];
    return boxes
      .filter((box) => box !== null && !box.hidden)
      .flatMap((box) => [...(box as HTMLElement).querySelectorAll<SVGSVGElement>("svg.chart")]);
  }
}

const SWEEP = "Which layers matter? Draw the curve";
const FILL_LABELS: Record<Fill, string> = { mean: "mean", zero: "zeros", noise: "noise" };
const SHOWN = 6;
/** Words below this are left out, but for the first two. */
const LEAST = 0.005;

function barsOf(
  effect: NonNullable<Session["effects"]["effect"]>,
  control: Session["effects"]["control"],
): Bar[] {
  const [before, after] = [effect.before.candidates, effect.after.candidates];
  const words = [...before.slice(0, 4), ...after.slice(0, 4)];
  const ids = [...new Map(words.map((one) => [one.id, one.word]))];
  const bars = ids.map(([id, word]) => ({
    word,
    before: levelOf(before, id),
    after: levelOf(after, id),
    control: control ? levelOf(control.after.candidates, id) : null,
  }));
  const seen = (bar: Bar) => Math.max(bar.before.p, bar.after?.p ?? 0, bar.control?.p ?? 0) >= LEAST;
  return bars.filter((bar, i) => i < 2 || seen(bar)).slice(0, SHOWN);
}

/** A word outside the candidates is less probable than the last of them. */
function levelOf(candidates: readonly Candidate[], id: number): Level {
  const found = candidates.find((one) => one.id === id);
  return { p: found?.prob ?? candidates.at(-1)?.prob ?? 0, below: found === undefined };
}

function legend(): HTMLElement {
  return h(
    "div",
    { class: "legend", "aria-hidden": "true" },
    h("span", { class: "key before" }, "before"),
    h("span", { class: "key after" }, "after"),
    h("span", { class: "key control" }, "same edit, as many random tokens"),
  );
}
