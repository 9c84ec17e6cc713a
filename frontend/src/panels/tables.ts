import { Once, fill, h, say, show } from "../dom";
import type { TableDocument } from "../documents";
import { studyPython } from "../export/python";
import type { Session } from "../session/session";
import type { State } from "../state/state";
import { compared } from "./compare";
import { type Panel, roomIn } from "./panel";
import { spreadChart } from "./spread";
import { tableElement, tableFigure } from "./table";

/** Study results with their intervals; two run directories side by side. */
export class TablesPanel implements Panel {
  readonly el: HTMLElement;
  private readonly note = h("p", { class: "hint", role: "status" });
  private readonly select = h("select", { "aria-label": "Study" });
  private readonly other = h("select", { "aria-label": "Compare with" });
  private readonly picks: HTMLElement;
  private readonly body = h("div", { class: "stack-y" });
  private readonly listed = new Once();
  private readonly drawn = new Once();
  private shown: TableDocument | null = null;

  constructor(private readonly session: Session) {
    const { store } = session;
    this.select.addEventListener("change", () => store.set({ study: this.select.value, other: "" }));
    this.other.addEventListener("change", () => store.set({ other: this.other.value }));
    this.picks = h("div", { class: "row" }, this.select, h("label", { class: "inline" }, "compare with ", this.other));
    this.el = h("div", { class: "panel-body stack-y" }, this.note, this.picks, this.body);
  }

  private study(state: State): string {
    const { studies } = this.session.manifest;
    return studies.some((one) => one.id === state.study) ? state.study : (studies[0]?.id ?? "");
  }

  update(state: State): void {
    const { studies } = this.session.manifest;
    const id = this.study(state);
    const kind = studies.find((one) => one.id === id)?.name;
    const rivals = studies.filter((one) => one.id !== id && one.name === kind);
    this.listed.when([this.session.manifest, id], () => {
      fill(this.select, ...studies.map((one) => h("option", { value: one.id }, `${one.title} (${one.id})`)));
      fill(this.other, h("option", { value: "" }, "nothing"), ...rivals.map((one) => h("option", { value: one.id }, `${one.title} (${one.id})`)));
    });
    this.select.value = id;
    this.other.value = state.other;
    show(this.picks, studies.length > 0);
    show(this.other.parentElement as HTMLElement, rivals.length > 0);
    const first = id === "" ? null : this.session.study<TableDocument>(`table-${id}`);
    const rival = rivals.some((one) => one.id === state.other) ? state.other : "";
    const second = rival === "" ? null : this.session.study<TableDocument>(`table-${rival}`);
    const problem = [first, second].find((one) => one instanceof Error);
    const message = id === "" ? "There is no study here: the page of a run directory shows its tables." : problem ? (problem as Error).message : first === null ? "Reading the study…" : "";
    say(this.note, message);
    show(this.note, message !== "");
    const ready = first !== null && !(first instanceof Error) ? first : null;
    show(this.body, ready !== null);
    this.shown = ready;
    if (!ready) return;
    const beside = second !== null && !(second instanceof Error) ? second : null;
    const width = roomIn(this.el);
    this.drawn.when([ready, beside, id, rival, width], () => this.draw(ready, beside, [id, rival], width));
  }

  private draw(first: TableDocument, second: TableDocument | null, names: [string, string], width: number): void {
    const whole = second ? compared(first, second, names) : first;
    this.shown = { ...first, columns: whole.columns, rows: whole.rows };
    const spread = second ? [] : first.spread;
    fill(
      this.body,
      h("p", { class: "hint" }, first.note),
      h("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": "Results" }, tableElement(whole)),
      spread.length > 0 ? h("h3", {}, "Change of the answer's probability, one dot an image") : null,
      spread.length > 0 ? spreadChart(spread, width) : null,
      ...(second ? [] : first.more).flatMap((part) => [
        h("h3", {}, part.title),
        h("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": part.title }, tableElement(part)),
      ]),
    );
  }

  figures(): SVGSVGElement[] {
    const charts = [...this.body.querySelectorAll<SVGSVGElement>("svg.chart")];
    return this.shown ? [tableFigure(this.shown), ...charts] : charts;
  }

  python(state: State): string {
    return studyPython(this.study(state));
  }
}
