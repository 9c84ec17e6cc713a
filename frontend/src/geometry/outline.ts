import type { Point } from "./boxes";

/** Edges between a mask and what is not mask, as pairs of points in pixels, joined along lines. */
export function outlineOf(mask: Uint8Array, height: number, width: number): [Point, Point][] {
  const found: [Point, Point][] = [];
  const at = (x: number, y: number) =>
    x >= 0 && y >= 0 && x < width && y < height ? (mask[y * width + x] as number) : 0;
  for (let y = 0; y <= height; y++) {
    let start = -1;
    for (let x = 0; x <= width; x++) {
      const edge = x < width && at(x, y - 1) !== at(x, y);
      if (edge && start < 0) start = x;
      if (!edge && start >= 0) {
        found.push([{ x: start, y }, { x, y }]);
        start = -1;
      }
    }
  }
  for (let x = 0; x <= width; x++) {
    let start = -1;
    for (let y = 0; y <= height; y++) {
      const edge = y < height && at(x - 1, y) !== at(x, y);
      if (edge && start < 0) start = y;
      if (!edge && start >= 0) {
        found.push([{ x, y: start }, { x, y }]);
        start = -1;
      }
    }
  }
  return found;
}
