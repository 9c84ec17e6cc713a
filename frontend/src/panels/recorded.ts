import { barsChart, known } from "../charts/bars";
import { curveChart, type Series } from "../charts/curve";
import { Once, h, say, show } from "../dom";
import type { Row } from "../documents";
import type { Session } from "../session/session";
import type { State } from "../state/state";
import { percent, targetName } from "../words";
import { roomIn } from "./panel";
import { type Recorded, recordedOf } from "./recorded_rows";
import { Step } from "./step";

/** Steps 2 and 3 without a model: what the studies asked, and what their edits did. */
export class RecordedSteps {
  readonly asked = new Step(2, "Choose what was asked");
  readonly edited = new Step(3, "See what taking it away did");
  private readonly select = h("select", { "aria-label": "Recorded question" });
  private readonly said = h("blockquote", { class: "answer" });
  private readonly verdict = h("p", { class: "verdict", role: "status" });
  private readonly table = h("div", { class: "recorded" });
  private readonly curveTitle = h("p", { class: "facts" });
  private readonly curve = h("div", { class: "curve-box" });
  private readonly record = h("select", { "aria-label": "Recorded by" });
  private readonly recordBox: HTMLElement;
  private readonly target = h("select", { "aria-label": "Edges cut to" });
  private readonly targetBox: HTMLElement;
  private readonly made = new Once();
  private readonly listed = new Once();

  constructor(private readonly session: Session) {
    const { store } = session;
    this.select.addEventListener("change", () => store.set({ question: this.select.value }));
    this.record.addEventListener("change", () => store.touch());
    this.target.addEventListener("change", () => store.touch());
    this.recordBox = h("div", { class: "row" }, h("label", { class: "inline" }, "Recorded by ", this.record));
    this.targetBox = h("div", { class: "row" }, h("label", { class: "inline" }, "Edges cut to ", this.target));
    this.asked.body.append(this.select, this.said);
    this.edited.body.append(this.recordBox, this.verdict, this.table, this.targetBox, this.curveTitle, this.curve);
  }

  update(state: State): void {
    const { sample, picture } = this.session;
    const found = recordedOf(sample?.rows ?? []);
    this.listed.when([sample, found.questions.join("\n")], () => {
      this.select.replaceChildren(...found.questions.map((one) => h("option", { value: one }, one)));
    });
    const question = found.questions.includes(state.question) ? state.question : (found.questions[0] ?? "");
    this.select.value = question;
    const asked = sample?.questions.find((one) => one.question === question);
    this.said.hidden = !asked?.predicted;
    say(this.said, asked?.predicted ?? "");
    this.asked.update(question ? "done" : "later", question ? verdictAsked(asked) : "No question was recorded for this image.");
    const chosen = (picture?.shapes ?? [])
      .filter(({ tokens }) => tokens.size > 0 && [...tokens].every((token) => state.tokens.has(token)))
      .map(({ object }) => object.name);
    const object = chosen.find((name) => found.objects(question).includes(name)) ?? found.objects(question)[0] ?? "";
    const width = roomIn(this.edited.body);
    const told = found.of(question, object, this.record.value);
    offer(this.record, told.records);
    this.record.value = told.record;
    show(this.recordBox, told.records.length > 1);
    const targets = told.targets;
    offer(this.target, targets, targetName);
    show(this.targetBox, targets.length > 1);
    const hint = told.edits.length + told.windows.length === 0
      ? "The studies recorded no edit for this question."
      : `Recorded edits of the ${object}${chosen.includes(object) ? "" : " (the studies chose these tokens themselves)"}. To edit tokens of your own choice, open the live page: retinoscope serve MODEL.`;
    this.edited.update(told.edits.length + told.windows.length > 0 ? "now" : "later", hint);
    this.made.when([sample, question, object, width, told.record, this.target.value], () => this.draw(told, object, width));
  }

  private draw(told: Recorded, object: string, width: number): void {
    this.table.replaceChildren(...told.edits.map((row) => editLine(row)));
    const bars = told.edits
      .filter((row) => typeof row["p_before"] === "number" && typeof row["p_after"] === "number")
      .map((row) => ({
        word: String(row["condition"]),
        before: known(Number(row["p_before"])),
        after: known(Number(row["p_after"])),
        control: null,
      }));
    if (bars.length > 0) this.table.append(barsChart(bars, width, ""), h("p", { class: "facts" }, "Probability of the answer: upper bar before, lower bar after each edit."));
    const own = told.edits.find((row) => isObject(row, 1)) ?? told.edits.find((row) => isObject(row, 0));
    say(this.verdict, own ? sentence(own, object) : "");
    show(this.verdict, own !== undefined);
    this.verdict.dataset["changed"] = `${own?.["correct"] === false}`;
    const windows = told.sliding(this.target.value || "last");
    show(this.curve, windows.length > 0);
    show(this.curveTitle, windows.length > 0);
    if (windows.length === 0) return;
    say(this.curveTitle, "Probability of the answer when attention edges are cut in a window of layers:");
    const spans = [...new Map(windows.map((row) => [`${row["first_layer"]}`, row])).values()]
      .map((row) => ({ name: spanOf(row), first: Number(row["first_layer"]), last: Number(row["last_layer"]) }))
      .sort((a, b) => a.first - b.first);
    const series: Series[] = SOURCES.map(({ rings, control, name, tone }) => ({
      name,
      tone,
      values: spans.map((span) => {
        const row = windows.find((one) => isObject(one, rings, control) && spanOf(one) === span.name);
        return typeof row?.["p_after"] === "number" ? Number(row["p_after"]) : NaN;
      }),
    })).filter(({ values }) => values.some((p) => !Number.isNaN(p)));
    const before = windows.find((row) => typeof row["p_before"] === "number")?.["p_before"];
    const chart = curveChart({
      windows: spans,
      series,
      before: typeof before === "number" ? before : null,
      layers: this.session.blocks,
      marked: null,
      width,
      label: "Probability of the answer with edges cut in each window of layers",
    });
    const keys = series.map(({ name, tone }) => h("span", { class: `key line-${tone}` }, name));
    this.curve.replaceChildren(chart, h("div", { class: "legend" }, ...keys));
  }

  charts(): SVGSVGElement[] {
    return [...this.edited.body.querySelectorAll<SVGSVGElement>("svg.chart")];
  }
}

function offer(select: HTMLSelectElement, values: readonly string[], name = (value: string) => value): void {
  if ([...select.options].map((one) => one.value).join("\n") === values.join("\n")) return;
  select.replaceChildren(...values.map((one) => h("option", { value: one }, name(one))));
}

const SOURCES = [
  { rings: 1, control: false, name: "object and one ring around it", tone: "main" },
  { rings: 0, control: false, name: "object", tone: "other" },
  { rings: 1, control: true, name: "as many random tokens", tone: "control" },
] as const;

/** Whether a row is of an object's tokens, grown by so many rings, or of their random control. */
const isObject = (row: Row, rings: number, control = false) =>
  row["token_set"] === "object" && row["rings"] === rings && row["is_control"] === control;

const spanOf = (row: Row) => (row["window"] === "sliding" ? `layers ${row["first_layer"]} to ${row["last_layer"]}` : String(row["window"]));

function verdictAsked(asked: { answer: string; correct: boolean | null } | undefined): string {
  if (!asked || asked.correct === null) return "";
  return `Expected "${asked.answer}": the model was ${asked.correct ? "right" : "wrong"}.`;
}

function sentence(row: Row, object: string): string {
  const [before, after] = [String(row["before"] ?? ""), String(row["after"] ?? "")];
  const p = typeof row["p_after"] === "number" ? ` (${percent(Number(row["p_before"]))} to ${percent(Number(row["p_after"]))})` : "";
  const what = isObject(row, 1) ? `the ${object} and one ring around it` : `the ${object}`;
  const text = before === after ? `Without ${what} the answer stays "${before}"${p}` : `Without ${what} the answer changes from "${before}" to "${after}"${p}`;
  return /[.!?]"$/.test(text) ? text : `${text}.`;
}

function editLine(row: Row): HTMLElement {
  const broken = row["baseline_correct"] === true && row["correct"] === false;
  return h(
    "div",
    { class: `edit-line${broken ? " broken" : ""}` },
    h("span", { class: "name" }, String(row["condition"])),
    h("span", { class: "tokens" }, `${row["n_tokens"] ?? ""}`),
    h("span", { class: "text" }, String(row["after"] ?? "")),
    h("span", { class: "mark" }, row["correct"] === false ? "wrong" : row["correct"] === true ? "right" : ""),
  );
}
