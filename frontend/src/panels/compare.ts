import type { ColumnFacts, TableCell, TablePart } from "../documents";

/** Two tables of one kind side by side: rows of the same conditions are one row. */
export function compared(
  first: Pick<TablePart, "columns" | "rows">,
  second: Pick<TablePart, "columns" | "rows">,
  names: readonly [string, string],
): TablePart {
  const places = (table: Pick<TablePart, "columns">, wanted: (column: ColumnFacts) => boolean) =>
    table.columns.map((column, place) => ({ column, place })).filter(({ column }) => wanted(column));
  const shared = new Set(second.columns.map((column) => column.name));
  const isKey = ({ name, condition }: ColumnFacts) => condition && shared.has(name);
  const isValue = ({ name, kind }: ColumnFacts) => shared.has(name) && kind === "estimate";
  const keys = places(first, isKey);
  const values = places(first, isValue);
  const keyOf = (table: Pick<TablePart, "columns">, row: readonly TableCell[]) =>
    JSON.stringify(keys.map(({ column }) => row[table.columns.findIndex((one) => one.name === column.name)] ?? null));
  const others = new Map(second.rows.map((row) => [keyOf(second, row), row]));
  const columns: ColumnFacts[] = keys.map(({ column }) => column);
  for (const { column } of values) {
    for (const name of names) columns.push({ ...column, name: `${column.name}, ${name}` });
    columns.push({ name: `${column.name}, difference`, kind: "float", unit: column.unit, condition: false });
  }
  const rows = first.rows.map((row) => {
    const other = others.get(keyOf(first, row));
    const cells: TableCell[] = keys.map(({ place }) => row[place] ?? null);
    for (const { column, place } of values) {
      const at = second.columns.findIndex((one) => one.name === column.name);
      const [a, b] = [row[place] ?? null, other?.[at] ?? null];
      cells.push(a, b, difference(a, b));
    }
    return cells;
  });
  return { title: "", columns, rows };
}

function difference(a: TableCell, b: TableCell): number | null {
  const [x, y] = [a, b].map((cell) => (Array.isArray(cell) ? cell[0] : null));
  return typeof x === "number" && typeof y === "number" ? x - y : null;
}
