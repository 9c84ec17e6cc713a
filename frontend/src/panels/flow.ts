import { floats, ints } from "../arrays";
import { gridChart } from "../charts/grid";
import { viridis } from "../colour/maps";
import { Once, fill, h, say, show } from "../dom";
import type { FlowDocument } from "../documents";
import { studyPython } from "../export/python";
import type { Session } from "../session/session";
import type { State } from "../state/state";
import { several, targetName } from "../words";
import { type Panel, roomIn } from "./panel";
import { sampleButtons } from "./thumbs";

/** A knockout study: what stays of the accuracy, by source, target and window of layers. */
export class FlowPanel implements Panel {
  readonly el: HTMLElement;
  private readonly note = h("p", { class: "hint", role: "status" });
  private readonly select = h("select", { "aria-label": "Knockout study" });
  private readonly grids = h("div", { class: "stack-y" });
  private readonly chosen = h("div", { class: "cell-facts", "aria-live": "polite" });
  private readonly scale = h("div", { class: "scale-row" }, h("span", {}, "0"), h("span", { class: "ramp viridis" }), h("span", {}, "1.00: no impact"));
  private readonly drawn = new Once();
  private readonly listed = new Once();

  constructor(private readonly session: Session) {
    this.select.addEventListener("change", () => session.store.set({ study: this.select.value, cell: "" }));
    this.el = h("div", { class: "panel-body stack-y" }, this.note, this.select, this.scale, this.grids, this.chosen);
  }

  private study(state: State): string {
    const ids = this.ids();
    return ids.includes(state.study) ? state.study : (ids[0] ?? "");
  }

  private ids(): string[] {
    return this.session.manifest.studies.filter((one) => one.views.includes("flow")).map((one) => one.id);
  }

  update(state: State): void {
    const { manifest } = this.session;
    this.listed.when([manifest], () => {
      const studies = manifest.studies.filter((one) => one.views.includes("flow"));
      fill(this.select, ...studies.map((one) => h("option", { value: one.id }, `${one.title} (${one.id})`)));
    });
    const id = this.study(state);
    this.select.value = id;
    show(this.select, this.ids().length > 1);
    const flow = id === "" ? null : this.session.study<FlowDocument>(`flow-${id}`);
    const ready = flow !== null && !(flow instanceof Error);
    for (const node of [this.grids, this.chosen, this.scale]) show(node, ready);
    say(this.note, id === "" ? "There is no knockout study here. Run `retinoscope knockout MODEL DATA` first, then open the page of its run directory." : flow instanceof Error ? flow.message : ready ? "How much of the accuracy stays when attention edges are cut, in each window of layers. Press a cell: the images behind it." : "Reading the study…");
    if (!ready) return;
    const width = roomIn(this.el);
    this.drawn.when([flow, state.cell, width], () => this.draw(flow, state, width));
  }

  private draw(flow: FlowDocument, state: State, width: number): void {
    const [value, low, high, n] = [floats(flow.value).values, floats(flow.low).values, floats(flow.high).values, ints(flow.n).values];
    const at = (source: number, target: number, window: number) => (source * flow.targets.length + target) * flow.windows.length + window;
    const cell = cellOf(state.cell, flow);
    const focused = (document.activeElement as Element | null)?.closest?.("[data-cell]")?.getAttribute("data-cell");
    const says = (source: number, target: number, window: number) => {
      const i = at(source, target, window);
      const part = flow.windows[window];
      const edges = `${flow.sources[source]} to ${targetName(flow.targets[target] ?? "")}, ${part?.name}`;
      if (Number.isNaN(value[i])) return `${edges}: not run`;
      return `${edges} (layers ${part?.first} to ${part?.last}): ${value[i]?.toFixed(2)} of the accuracy stays, 95% interval ${low[i]?.toFixed(2)} to ${high[i]?.toFixed(2)}, n = ${n[i]}`;
    };
    const label = Math.min(0.3 * width, Math.max(...flow.sources.map((one) => one.length)) * 7.4 + 14);
    const targets = flow.targets.map((_, target) => target).filter((target) => flow.sources.some((__, source) => flow.windows.some((___, window) => !Number.isNaN(value[at(source, target, window)]))));
    fill(
      this.grids,
      ...targets.map((target) =>
        h(
          "div",
          {},
          h("h3", {}, `Edges cut to ${targetName(flow.targets[target] ?? "")}`),
          gridChart(
            {
              label: `Relative accuracy with edges cut to ${targetName(flow.targets[target] ?? "")}`,
              rows: flow.sources,
              columns: flow.windows.map((one) => one.name),
              shade: (source, window) => value[at(source, target, window)] as number,
              text: (source, window) => (value[at(source, target, window)] as number).toFixed(2),
              says: (source, window) => says(source, target, window),
              map: viridis,
              width,
              rowLabel: label,
              cellHeight: 26,
              marked: cell && cell[1] === target ? [cell[0], cell[2]] : null,
              slanted: flow.windows.length <= 24,
            },
            (source, window) => this.session.store.set({ cell: `${source},${target},${window}`, study: this.study(state) }),
          ),
        ),
      ),
    );
    if (focused && cell) this.grids.querySelectorAll<SVGElement>(`[data-cell="${focused}"]`)[targets.indexOf(cell[1])]?.focus();
    this.tell(flow, cell, cell ? says(...cell) : "");
  }

  private tell(flow: FlowDocument, cell: [number, number, number] | null, says: string): void {
    if (!cell) {
      fill(this.chosen);
      return;
    }
    const key = cell.join(",");
    const wrong = flow.samples[key] ?? [];
    const kept = flow.kept[key] ?? [];
    const part = (title: string, samples: readonly number[]) => [h("h3", {}, `${title}: ${several(samples.length, "image")}`), sampleButtons(this.session, samples)];
    fill(this.chosen, h("p", { class: "verdict" }, says), ...part("Right before, wrong after", wrong), ...part("Stayed right", kept));
  }

  figures(): SVGSVGElement[] {
    return [...this.grids.querySelectorAll<SVGSVGElement>("svg.chart")];
  }

  python(state: State): string {
    return studyPython(this.study(state));
  }
}

function cellOf(text: string, flow: FlowDocument): [number, number, number] | null {
  const match = /^(\d+),(\d+),(\d+)$/.exec(text);
  if (!match) return null;
  const [source, target, window] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const there = source < flow.sources.length && target < flow.targets.length && window < flow.windows.length;
  return there ? [source, target, window] : null;
}
