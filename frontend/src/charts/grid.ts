import { type ColourMap, colourOf, css, inkOn } from "../colour/maps";
import { s } from "../dom";
import { rowLabel as labelled } from "./label";

export interface GridFacts {
  label: string;
  rows: readonly string[];
  columns: readonly string[];
  /** In the scale of the colour map, 0 to 1; NaN where there is none. */
  shade(row: number, column: number): number;
  text(row: number, column: number): string;
  says(row: number, column: number): string;
  map: ColourMap;
  width: number;
  rowLabel: number;
  cellHeight: number;
  marked: readonly [number, number] | null;
  slanted: boolean;
}

/** A heat map whose cells can be reached with the arrow keys and pressed. */
export function gridChart(facts: GridFacts, pick: (row: number, column: number) => void): SVGSVGElement {
  const { rows, columns, width, rowLabel, cellHeight } = facts;
  // The last slanted name leans beyond its column.
  const tail = facts.slanted ? Math.max(0, 4.7 * (columns.at(-1)?.length ?? 0) - 14) : 0;
  const cell = Math.max(3, (width - rowLabel - tail) / Math.max(1, columns.length));
  const longest = Math.max(0, ...columns.map((name) => name.length));
  const head = facts.slanted ? Math.min(76, 18 + 4.3 * longest) : 20;
  const height = head + rows.length * cellHeight + 2;
  const chart = s("svg", {
    class: "chart grid",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "grid",
    "aria-label": facts.label,
  });
  const step = facts.slanted ? 1 : Math.max(1, Math.ceil(20 / cell));
  columns.forEach((name, column) => {
    if (column % step !== 0) return;
    const x = rowLabel + (column + 0.5) * cell;
    const turned = facts.slanted ? { transform: `rotate(-38 ${x} ${head - 8})`, "text-anchor": "start" } : { "text-anchor": "middle" };
    chart.append(s("text", { x, y: head - 7, class: "tick", ...turned }, name));
  });
  const [markedRow, markedColumn] = facts.marked ?? [-1, -1];
  rows.forEach((name, row) => {
    const y = head + row * cellHeight;
    const line = s("g", { role: "row" });
    line.append(labelled(name, rowLabel - 8, y + cellHeight / 2, rowLabel - 10));
    columns.forEach((_, column) => line.append(cellOf(facts, row, column, cell, y, pick, chart)));
    chart.append(line);
  });
  if (markedRow >= 0) {
    const at = { x: rowLabel + markedColumn * cell, y: head + markedRow * cellHeight, width: cell, height: cellHeight };
    chart.append(s("rect", { ...at, class: "chosen-under" }), s("rect", { ...at, class: "chosen" }));
  }
  return chart;
}

function cellOf(
  facts: GridFacts,
  row: number,
  column: number,
  width: number,
  y: number,
  pick: (row: number, column: number) => void,
  chart: SVGSVGElement,
): SVGGElement {
  const shade = facts.shade(row, column);
  const colour = colourOf(facts.map, shade);
  const x = facts.rowLabel + column * width;
  const known = !Number.isNaN(shade);
  const marked = facts.marked ?? [0, 0];
  const says = facts.says(row, column);
  const group = s(
    "g",
    {
      class: "cell",
      role: "gridcell",
      "aria-label": says,
      tabindex: row === marked[0] && column === marked[1] ? "0" : "-1",
      "data-cell": `${row},${column}`,
      onclick: () => pick(row, column),
      onkeydown: (event: KeyboardEvent) => key(event, chart, row, column, () => pick(row, column)),
    },
    s("rect", {
      x: x + 0.5,
      y: y + 0.5,
      width: Math.max(1, width - (width > 8 ? 1 : 0)),
      height: facts.cellHeight - 1,
      rx: width > 14 ? 2 : 0,
      ...(known ? { fill: css(colour) } : { class: "unknown" }),
    }),
    s("title", {}, says),
  );
  const text = facts.text(row, column);
  if (known && text !== "" && width >= 28) {
    group.append(s("text", { x: x + width / 2, y: y + facts.cellHeight / 2, fill: inkOn(colour), class: "value", "text-anchor": "middle", "dominant-baseline": "central" }, text));
  }
  return group;
}

function key(event: KeyboardEvent, chart: SVGSVGElement, row: number, column: number, press: () => void): void {
  const steps: Record<string, [number, number]> = {
    ArrowRight: [0, 1],
    ArrowLeft: [0, -1],
    ArrowDown: [1, 0],
    ArrowUp: [-1, 0],
  };
  const step = steps[event.key];
  if (step) {
    chart.querySelector<SVGGElement>(`[data-cell="${row + step[0]},${column + step[1]}"]`)?.focus();
  } else if (event.key === "Enter" || event.key === " ") press();
  else return;
  event.preventDefault();
  event.stopPropagation();
}
