import { s } from "../dom";
import { percent, visible } from "../words";

/** A probability; `below` says that it is only known to be less than that. */
export interface Level {
  p: number;
  below: boolean;
}

export interface Bar {
  word: string;
  before: Level;
  after: Level | null;
  /** After the same edit of as many random tokens. */
  control: Level | null;
}

export const known = (p: number): Level => ({ p, below: false });

function levelWords({ p, below }: Level): string {
  return below ? `<${percent(p)}`.replace("<<", "<") : percent(p);
}

const length = ({ p, below }: Level) => (below ? 0 : p);

const ROW = 34;
const LABEL = 92;
const NUMBER = 58;

/** Probability of each word before (outlined), after (filled), and under the control (a tick). */
export function barsChart(bars: readonly Bar[], width: number, chosen: string): SVGSVGElement {
  const edited = bars.some((bar) => bar.after !== null);
  const row = edited ? ROW : 24;
  const room = Math.max(40, width - LABEL - NUMBER);
  const chart = s("svg", {
    class: "chart bars",
    viewBox: `0 0 ${width} ${bars.length * row}`,
    width,
    height: bars.length * row,
    role: "img",
    "aria-label": bars.map(barWords).join("; "),
  });
  bars.forEach((bar, i) => {
    const y = i * row;
    const strong = bar.word === chosen;
    chart.append(
      s("text", { x: LABEL - 10, y: y + row / 2, class: strong ? "word strong" : "word", "text-anchor": "end", "dominant-baseline": "central" }, short(bar.word)),
      s("rect", { x: LABEL, y: y + row / 2 - (edited ? 11 : 7), width: room, height: edited ? 22 : 14, rx: 3, class: "trough" }),
    );
    if (bar.after === null) {
      chart.append(piece(y + row / 2 - 7, 14, length(bar.before) * room, "before"));
      chart.append(label(width, y + row / 2, levelWords(bar.before), "after-number"));
      return;
    }
    chart.append(
      piece(y + row / 2 - 11, 10, length(bar.before) * room, "before"),
      piece(y + row / 2 + 1, 10, length(bar.after) * room, "after"),
      label(width, y + row / 2 - 6, levelWords(bar.before), "before-number"),
      label(width, y + row / 2 + 7, levelWords(bar.after), "after-number"),
    );
    if (bar.control !== null) {
      const x = LABEL + length(bar.control) * room;
      chart.append(s("path", { d: `M${x} ${y + row / 2 - 1}v14`, class: "control" }));
    }
  });
  return chart;
}

function piece(y: number, height: number, width: number, name: string): SVGRectElement {
  return s("rect", { x: LABEL, y, height, width: Math.max(1.5, width), rx: 2.5, class: name });
}

function label(x: number, y: number, text: string, name: string): SVGTextElement {
  return s("text", { x, y, class: name, "text-anchor": "end", "dominant-baseline": "central" }, text);
}

function short(word: string): string {
  const text = visible(word.trim() === "" ? word : word.trim());
  return text.length > 12 ? `${text.slice(0, 11)}…` : text;
}

function barWords({ word, before, after, control }: Bar): string {
  const now = after === null ? "" : `, after ${levelWords(after)}`;
  const other = control === null ? "" : `, random tokens instead ${levelWords(control)}`;
  return `${word.trim()}: ${levelWords(before)}${now}${other}`;
}
