import { h, s } from "../dom";
import type { ColumnFacts, TableCell, TablePart } from "../documents";

/** Columns that no row fills are left out. */
function filled(table: Pick<TablePart, "columns" | "rows">): { column: ColumnFacts; place: number }[] {
  return table.columns
    .map((column, place) => ({ column, place }))
    .filter(({ place }) => table.rows.some((row) => row[place] !== null && row[place] !== undefined && row[place] !== ""));
}

export function cellText(cell: TableCell | undefined, column: ColumnFacts): string {
  if (cell === null || cell === undefined) return "";
  if (Array.isArray(cell)) {
    const [value, low, high] = cell.map((one) => (typeof one === "number" ? one.toFixed(2) : "–"));
    return low === undefined || high === undefined ? `${value}` : `${value} (${low}–${high})`;
  }
  if (typeof cell === "number" && column.kind === "float") return Number.isInteger(cell) ? `${cell}` : cell.toPrecision(2);
  if (typeof cell === "boolean") return cell ? "yes" : "no";
  return String(cell).replaceAll("_", " ");
}

export function tableElement(table: Pick<TablePart, "columns" | "rows">): HTMLTableElement {
  const columns = filled(table);
  const head = columns.map(({ column }) => h("th", { scope: "col", class: column.kind }, column.name.replaceAll("_", " ")));
  const rows = table.rows.map((row) =>
    h(
      "tr",
      {},
      ...columns.map(({ column, place }) => {
        const cell = row[place];
        const text = cellText(cell, column);
        const share = column.kind === "estimate" && column.unit === "share" && Array.isArray(cell);
        return h("td", { class: column.kind }, share ? interval(cell) : null, text);
      }),
    ),
  );
  return h("table", { class: "results" }, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows));
}

/** An estimate and its interval on a line from 0 to 1, or from -1 where it is a difference. */
function interval(cell: readonly (number | null)[]): SVGSVGElement {
  const [value, low, high] = cell;
  const least = Math.min(0, ...cell.filter((one) => typeof one === "number")) < 0 ? -1 : 0;
  const x = (one: number) => 1 + (58 * (one - least)) / (1 - least);
  const part = s("svg", { class: "interval", width: 60, height: 12, viewBox: "0 0 60 12", "aria-hidden": "true" });
  part.append(s("path", { d: `M1 6H59M${x(0)} 3V9`, class: "axis" }));
  if (typeof low === "number" && typeof high === "number") part.append(s("path", { d: `M${x(low)} 6H${x(high)}`, class: "range" }));
  if (typeof value === "number") part.append(s("circle", { cx: x(value), cy: 6, r: 2.6, class: "dot" }));
  return part;
}

/** The same table as a picture. */
export function tableFigure(table: Pick<TablePart, "columns" | "rows">): SVGSVGElement {
  const columns = filled(table);
  const lines = [columns.map(({ column }) => column.name.replaceAll("_", " ")), ...table.rows.map((row) => columns.map(({ column, place }) => cellText(row[place], column)))];
  const widths = columns.map((_, i) => 18 + 6.4 * Math.max(...lines.map((line) => (line[i] ?? "").length)));
  const width = widths.reduce((a, b) => a + b, 0);
  const height = 20 * lines.length + 8;
  const figure = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": "system-ui, sans-serif", "font-size": 12 });
  lines.forEach((line, row) => {
    let x = 0;
    line.forEach((text, i) => {
      figure.append(s("text", { x, y: 16 + 20 * row, "font-weight": row === 0 ? 600 : 400, fill: "#4a5661" }, text));
      x += widths[i] as number;
    });
  });
  return figure;
}
