import { s } from "../dom";
import { percent } from "../words";

export interface Series {
  name: string;
  /** One per window; NaN where it is not known. */
  values: readonly number[];
  tone: "main" | "other" | "control";
}

export interface CurveFacts {
  windows: readonly { name: string; first: number; last: number }[];
  series: readonly Series[];
  /** Without any edit; a line across. */
  before: number | null;
  layers: number;
  /** Layers that are marked. */
  marked: readonly [number, number] | null;
  width: number;
  height?: number;
  /** Highest number of the axis. */
  top?: number;
  label: string;
}

const FOOT = 18;
const HEAD = 16;

/**
 * Numbers by window of layers, each drawn at the middle of its window. The horizontal axis is that
 * of the two-handled slider below it: layer l owns the l-th of as many equal cells.
 */
export function curveChart(facts: CurveFacts, pick?: (index: number) => void): SVGSVGElement {
  const { windows, series, before, layers, width } = facts;
  const height = facts.height ?? 132;
  const top = facts.top ?? 1;
  const cell = width / Math.max(1, layers);
  const x = (i: number) => {
    const window = windows[i] as { first: number; last: number };
    return ((window.first + window.last + 1) / 2) * cell;
  };
  const y = (p: number) => HEAD + (1 - Math.min(1, p / top)) * (height - HEAD - FOOT);
  const chart = s("svg", {
    class: "chart curve",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: pick ? "group" : "img",
    "aria-label": `${facts.label}. ${spoken(facts)}`,
  });
  if (facts.marked) {
    const [first, last] = facts.marked;
    chart.append(s("rect", { x: first * cell, y: HEAD, width: (last - first + 1) * cell, height: height - HEAD - FOOT, class: "marked" }));
  }
  for (const p of [0, 0.5, 1]) {
    chart.append(
      s("path", { d: `M0 ${y(p * top)}H${width}`, class: "rule" }),
      s("text", { x: 2, y: y(p * top) - 3, class: "tick" }, percent(p * top).replace(".0", "")),
    );
  }
  const step = Math.max(1, Math.ceil((22 * layers) / width));
  for (let layer = 0; layer < layers; layer += step) {
    chart.append(s("text", { x: (layer + 0.5) * cell, y: height - 4, class: "tick", "text-anchor": "middle" }, `${layer}`));
  }
  if (before !== null) {
    chart.append(s("path", { d: `M0 ${y(before)}H${width}`, class: "before-line" }));
  }
  for (const { values, tone } of series) {
    let line = "";
    values.forEach((p, i) => {
      if (!Number.isNaN(p)) line += `${line === "" || Number.isNaN(values[i - 1] ?? NaN) ? "M" : "L"}${x(i)} ${y(p)}`;
    });
    chart.append(s("path", { d: line, class: `line ${tone}` }));
    values.forEach((p, i) => {
      if (!Number.isNaN(p)) chart.append(s("circle", { cx: x(i), cy: y(p), r: layers > 30 ? 2.2 : 3.4, class: `dot ${tone}` }));
    });
  }
  if (pick) {
    windows.forEach((window, i) => {
      const from = i === 0 ? 0 : (x(i - 1) + x(i)) / 2;
      const to = i === windows.length - 1 ? width : (x(i) + x(i + 1)) / 2;
      const said = series.map(({ name, values }) => `${name} ${percent(values[i] ?? NaN)}`).join(", ");
      chart.append(
        s(
          "rect",
          {
            x: from,
            y: 0,
            width: Math.max(1, to - from),
            height,
            class: "pick",
            tabindex: i === 0 ? "0" : "-1",
            role: "button",
            "aria-label": `layers ${window.first} to ${window.last}: ${said}. Press to set the slider.`,
            onclick: () => pick(i),
            onkeydown: (event: KeyboardEvent) => key(event, chart, i, pick),
          },
          s("title", {}, `layers ${window.first} to ${window.last}: ${said}`),
        ),
      );
    });
  }
  return chart;
}

function key(event: KeyboardEvent, chart: SVGSVGElement, i: number, pick: (i: number) => void): void {
  const cells = [...chart.querySelectorAll<SVGRectElement>(".pick")];
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step !== undefined) cells[Math.max(0, Math.min(cells.length - 1, i + step))]?.focus();
  else if (event.key === "Enter" || event.key === " ") pick(i);
  else return;
  event.preventDefault();
}

function spoken({ windows, series }: CurveFacts): string {
  return series
    .map(({ name, values }) => {
      const known = values.map((p, i) => [p, i] as const).filter(([p]) => !Number.isNaN(p));
      if (known.length === 0) return `${name}: none`;
      const [p, i] = known.reduce((a, b) => (b[0] < a[0] ? b : a));
      const at = windows[i];
      return `${name}: lowest ${percent(p)} at layers ${at?.first} to ${at?.last}`;
    })
    .join(". ");
}
