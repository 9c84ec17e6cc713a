import { s } from "../dom";

const CHARACTER = 7.1;
const LINE = 12;

/** A row's name, ending at x: on two lines where it does not fit on one, and cut where two do not suffice. */
export function rowLabel(name: string, x: number, y: number, room: number): SVGTextElement {
  const most = Math.max(3, Math.floor(room / CHARACTER));
  const lines = linesOf(name, most);
  const top = y - ((lines.length - 1) * LINE) / 2;
  const parts = lines.map((line, i) => s("tspan", { x, y: top + i * LINE, "dominant-baseline": "central" }, line));
  return s("text", { class: "word", "text-anchor": "end" }, s("title", {}, name), ...parts);
}

/** The name on one line or two, none longer than `most` characters. */
export function linesOf(name: string, most: number): string[] {
  if (name.length <= most) return [name];
  const words = name.split(" ");
  const halves = words.slice(1).map((_, i) => [words.slice(0, i + 1).join(" "), words.slice(i + 1).join(" ")]);
  const longest = (lines: readonly string[]) => Math.max(...lines.map((line) => line.length));
  const best = halves.length === 0 ? [name] : halves.reduce((a, b) => (longest(b) < longest(a) ? b : a));
  return best.map((line) => (line.length > most ? `${line.slice(0, most - 1)}…` : line));
}
