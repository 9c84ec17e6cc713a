import { rowLabel } from "../charts/label";
import { s } from "../dom";

const ROW = 26;
const LABEL = 190;

/** One dot for each sample's number, in a line for each condition; from -1 to 1. */
export function spreadChart(spread: readonly { key: string; values: readonly number[] }[], width: number): SVGSVGElement {
  const shown = spread.slice(0, 60);
  const label = Math.min(LABEL, width * 0.42);
  const height = shown.length * ROW + 22;
  const x = (value: number) => label + 8 + ((value + 1) / 2) * (width - label - 20);
  const chart = s("svg", { class: "chart spread", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": shown.map(({ key, values }) => `${key}: mean ${mean(values).toFixed(2)}`).join("; ") });
  for (const value of [-1, -0.5, 0, 0.5, 1]) {
    chart.append(s("path", { d: `M${x(value)} 0V${height - 18}`, class: value === 0 ? "zero" : "rule" }));
    chart.append(s("text", { x: x(value), y: height - 5, class: "tick", "text-anchor": "middle" }, `${value}`));
  }
  shown.forEach(({ key, values }, row) => {
    const y = row * ROW + ROW / 2;
    chart.append(rowLabel(key, label - 6, y, label - 6));
    values.forEach((value, i) => {
      // Spread over the row by turn, the same each time: dots on one place stay apart.
      const off = ((((i * 7) % 11) - 5) / 5) * 7;
      chart.append(s("circle", { cx: x(value), cy: y + off, r: 2.4, class: "dot one" }));
    });
    chart.append(s("path", { d: `M${x(mean(values))} ${y - 9}v18`, class: "mean" }));
  });
  return chart;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? NaN : values.reduce((a, b) => a + b, 0) / values.length;
}
