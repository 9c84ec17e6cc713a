import { curveChart } from "../charts/curve";
import { gridChart } from "../charts/grid";
import { viridis } from "../colour/maps";
import { Once, fill, h, say, show } from "../dom";
import { attentionPython } from "../export/python";
import type { Attention } from "../session/attention";
import type { Session } from "../session/session";
import type { State } from "../state/state";
import { Segmented } from "../widgets/controls";
import { LayerSlider } from "../widgets/layers";
import { percent, several, visible } from "../words";
import { type Panel, roomIn } from "./panel";

const SORTED = 12;

/** Attention of one text token to the image, by layer and head. */
export class AttentionPanel implements Panel {
  readonly el: HTMLElement;
  private readonly note = h("p", { class: "hint", role: "status" });
  private readonly prompt = h("div", { class: "prompt", role: "group", "aria-label": "Token that attends" });
  private readonly promptHint = h("p", { class: "hint" });
  private readonly slider: LayerSlider;
  private readonly heads: Segmented<"sum" | "one">;
  private readonly sum = h("p", { class: "facts" });
  private readonly matrix = h("div", {});
  private readonly list = h("ol", { class: "heads" });
  private readonly listTitle = h("h3", {});
  private readonly removed = h("div", {});
  private readonly removedTitle = h("h3", {}, "What a cut would remove");
  private readonly removedText = h("p", { class: "facts" });
  private readonly body: HTMLElement;
  private readonly listed = new Once();
  private readonly drawn = new Once();
  private readonly curved = new Once();
  private readonly asked = new Once();

  constructor(private readonly session: Session) {
    const { store } = session;
    this.slider = new LayerSlider("Block", (value, most) => `block ${value} of 0 to ${most}`, (block) => store.set({ block }));
    this.heads = new Segmented<"sum" | "one">(
      "Heads",
      [
        { value: "sum", label: "sum over heads" },
        { value: "one", label: "one head" },
      ],
      (which) => store.set({ head: which === "sum" ? null : 0 }),
    );
    this.body = h(
      "div",
      { class: "stack-y" },
      this.slider.el,
      h("div", { class: "row" }, this.heads.el),
      this.sum,
      h("h3", {}, "Attention to the image, by block and head"),
      this.matrix,
      this.listTitle,
      this.list,
      this.removedTitle,
      this.removedText,
      this.removed,
    );
    this.el = h("div", { class: "panel-body" }, this.promptHint, this.prompt, this.note, this.body);
  }

  update(state: State): void {
    const { readouts, sample, source } = this.session;
    const { attention, attentionProblem } = readouts;
    this.asked.when([sample], () => this.drawPrompt());
    const last = (sample?.prompt?.tokens.length ?? 0) - 1;
    const query = state.query < 0 ? last : state.query;
    for (const chip of this.prompt.querySelectorAll("button")) chip.setAttribute("aria-pressed", `${chip.dataset["position"] === `${query}`}`);
    say(this.promptHint, source.live ? "Press the token whose attention you want to see; the last one predicts the answer." : "Recorded for the last token, which predicts the answer.");
    show(this.body, attention !== null);
    const why = this.session.can("attention").why;
    const missing = sample && !sample.has.attention ? `No attention was recorded for this image${why ? ` (${why})` : ""}.` : "";
    say(this.note, attention ? "" : (attentionProblem ?? (missing || "Reading the attention…")));
    this.note.hidden = this.note.textContent === "";
    if (!attention) return;
    const block = readouts.layer({ ...state, colouring: "attention" });
    this.slider.update(block, attention.layers);
    this.heads.update(state.head === null ? "sum" : "one");
    const width = roomIn(this.el);
    this.describe(attention, block, state.head);
    this.drawn.when([attention, block, state.head, width], () => this.drawMatrix(attention, block, state.head, width));
    this.listed.when([attention, state.tokens, block, state.head], () => this.drawList(attention, state, block));
    this.curved.when([attention, state.tokens, width, state.cut, state.kind], () => this.drawRemoved(attention, state, width));
  }

  private drawPrompt(): void {
    const { prompt } = this.session.sample ?? {};
    if (!prompt) {
      fill(this.prompt);
      return;
    }
    const parts: Node[] = [];
    let images = 0;
    const flush = () => {
      if (images > 0) parts.push(h("span", { class: "images" }, several(images, "visual token")));
      images = 0;
    };
    prompt.tokens.forEach((token, position) => {
      if (prompt.kinds[position] === "image") {
        images += 1;
        return;
      }
      flush();
      parts.push(
        h(
          "button",
          {
            type: "button",
            class: `token ${prompt.kinds[position]}`,
            "data-position": position,
            title: `position ${position}`,
            disabled: this.session.source.live === null && position !== prompt.tokens.length - 1,
            onclick: () => this.session.store.set({ query: position === prompt.tokens.length - 1 ? -1 : position }),
          },
          visible(token),
        ),
      );
    });
    flush();
    fill(this.prompt, ...parts);
  }

  private describe(attention: Attention, block: number, head: number | null): void {
    const why = attention.missing.get(block);
    if (why) {
      say(this.sum, `Block ${block} cannot be read: ${why}.`);
      return;
    }
    const heads = head === null ? Array.from({ length: attention.heads }, (_, i) => i) : [head];
    const mean = (of: (one: number) => number) => heads.reduce((sum, one) => sum + of(one), 0) / heads.length;
    const image = mean((one) => attention.onImage(block, one));
    const first = mean((one) => attention.onFirst(block, one));
    const rest = Number.isNaN(first) ? "" : `, ${percent(first)} on the first token`;
    const who = head === null ? `Block ${block}, all heads` : `Block ${block}, head ${head}`;
    say(this.sum, `${who}: ${percent(image)} of the attention is on the image${rest}, the rest on text.`);
  }

  private drawMatrix(attention: Attention, block: number, head: number | null, width: number): void {
    const focused = this.matrix.contains(document.activeElement);
    const chart = gridChart(
      {
        label: "Share of attention on the image by block and head",
        rows: Array.from({ length: attention.heads }, (_, i) => `head ${i}`),
        columns: Array.from({ length: attention.layers }, (_, i) => `${i}`),
        shade: (row, column) => attention.onImage(column, row),
        text: (row, column) => percent(attention.onImage(column, row)),
        says: (row, column) => `block ${column}, head ${row}: ${percent(attention.onImage(column, row))} on the image`,
        map: viridis,
        width,
        rowLabel: 64,
        cellHeight: attention.heads > 16 ? 12 : 22,
        marked: head === null ? null : [head, block],
        slanted: false,
      },
      (row, column) => this.session.store.set({ head: row, block: column }),
    );
    this.matrix.replaceChildren(chart);
    if (focused) chart.querySelector<SVGElement>(`[data-cell="${head},${block}"]`)?.focus();
  }

  private drawList(attention: Attention, state: State, block: number): void {
    const chosen = state.tokens.size > 0 ? state.tokens : null;
    say(this.listTitle, chosen ? `Heads that read the ${several(chosen.size, "selected token")} most` : "Heads that read the image most");
    const best = attention.sorted(chosen).slice(0, SORTED);
    const most = best[0]?.on || 1;
    this.list.replaceChildren(
      ...best.map(({ layer, head, on }) =>
        h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              style: { "--p": `${(100 * on) / most}%` },
              "aria-pressed": `${layer === block && head === state.head}`,
              onclick: () => this.session.store.set({ block: layer, head }),
            },
            h("span", {}, `block ${layer}, head ${head}`),
            h("small", {}, percent(on)),
          ),
        ),
      ),
    );
  }

  private drawRemoved(attention: Attention, state: State, width: number): void {
    const { tokens } = state;
    if (tokens.size === 0) {
      say(this.removedText, "Select tokens: the attention that would be lost, by block.");
      fill(this.removed);
      return;
    }
    const values = attention.byLayer(tokens);
    const most = Math.max(...values.filter((p) => !Number.isNaN(p)), 0.01);
    say(this.removedText, `Share of the attention of "${visible(attention.token)}" on the ${several(tokens.size, "selected token")}, mean over heads. A cut in a block removes it there; the rest then shares its place.`);
    const marked = state.kind === "knockout" && state.cut ? state.cut : null;
    this.removed.replaceChildren(
      curveChart({
        windows: values.map((_, layer) => ({ name: `${layer}`, first: layer, last: layer })),
        series: [{ name: "attention on the selection", values, tone: "main" }],
        before: null,
        layers: attention.layers,
        marked,
        width,
        height: 110,
        top: most,
        label: "Attention that a cut would remove, by block",
      }),
    );
  }

  figures(): SVGSVGElement[] {
    return [...this.el.querySelectorAll<SVGSVGElement>("svg.chart")];
  }

  python(state: State): string {
    return attentionPython(this.session, state);
  }
}
