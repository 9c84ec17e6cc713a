import { type Boxes, boxOf } from "../geometry/boxes";

export type Side = [number, number, number, number];

/** The sides of a set of boxes that no two of them share: the outline of a set of grid cells. */
export function unionSides(boxes: Boxes, tokens: Iterable<number>): Side[] {
  const sides = new Map<string, Side | null>();
  for (const token of tokens) {
    const box = boxOf(boxes, token);
    if (!box) continue;
    const { x0, y0, x1, y1 } = box;
    const own: Side[] = [
      [x0, y0, x1, y0],
      [x0, y1, x1, y1],
      [x0, y0, x0, y1],
      [x1, y0, x1, y1],
    ];
    for (const side of own) {
      // Half pixels: boxes of one grid may lie a rounding apart.
      const key = side.map((value) => Math.round(value * 2)).join(" ");
      sides.set(key, sides.has(key) ? null : side);
    }
  }
  return [...sides.values()].filter((side) => side !== null);
}
