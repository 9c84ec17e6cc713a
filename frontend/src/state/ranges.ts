/** Sets of tokens as text: 0-3.7.9-12. Dots, since a comma is escaped in an address. */

export function rangesOf(numbers: Iterable<number>): string {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  const spans: [number, number][] = [];
  for (const n of sorted) {
    const last = spans.at(-1);
    if (last && n === last[1] + 1) last[1] = n;
    else spans.push([n, n]);
  }
  return spans.map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`)).join(".");
}

/** What `rangesOf` wrote; parts that are no range, or reach beyond `limit`, are left out. */
export function numbersOf(text: string, limit = 1_000_000): number[] {
  const found = new Set<number>();
  for (const part of text.split(".")) {
    const match = /^(\d{1,7})(?:-(\d{1,7}))?$/.exec(part);
    if (!match) continue;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last >= limit) continue;
    for (let n = first; n <= last; n++) found.add(n);
  }
  return [...found].sort((a, b) => a - b);
}

/** The same as Python: [*range(3, 9), 12]. */
export function pythonRanges(numbers: Iterable<number>): string {
  const text = rangesOf(numbers);
  if (text === "") return "[]";
  const parts = text.split(".").map((part) => {
    const [first, last] = part.split("-").map(Number) as [number, number | undefined];
    if (last === undefined) return `${first}`;
    const few = last - first < 3;
    if (!few) return `*range(${first}, ${last + 1})`;
    return Array.from({ length: last - first + 1 }, (_, i) => first + i).join(", ");
  });
  return `[${parts.join(", ")}]`;
}
