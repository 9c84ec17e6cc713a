import { type Box, type Boxes, type Point, boxOf, centreOf } from "./boxes";

/** The token drawn on top at a point, or null. `order` is that of drawing. */
export function tokenAt(boxes: Boxes, order: readonly number[], point: Point): number | null {
  for (let i = order.length - 1; i >= 0; i--) {
    const token = order[i] as number;
    const box = boxOf(boxes, token);
    if (box && inside(box, point)) return token;
  }
  return null;
}

export function inside(box: Box, { x, y }: Point): boolean {
  return x >= box.x0 && x < box.x1 && y >= box.y0 && y < box.y1;
}

/** Tokens whose centre a rectangle holds; both corners are given in any order. */
export function tokensInBox(boxes: Boxes, order: readonly number[], a: Point, b: Point): number[] {
  const box = {
    x0: Math.min(a.x, b.x),
    y0: Math.min(a.y, b.y),
    x1: Math.max(a.x, b.x),
    y1: Math.max(a.y, b.y),
  };
  return order.filter((token) => {
    const own = boxOf(boxes, token);
    return own !== null && inside(box, centreOf(own));
  });
}

/** Tokens that a round brush drawn from `a` to `b` touches. */
export function tokensUnderBrush(
  boxes: Boxes,
  order: readonly number[],
  a: Point,
  b: Point,
  radius: number,
): number[] {
  return order.filter((token) => {
    const box = boxOf(boxes, token);
    return box !== null && segmentMeets(grown(box, radius), a, b);
  });
}

function grown(box: Box, by: number): Box {
  return { x0: box.x0 - by, y0: box.y0 - by, x1: box.x1 + by, y1: box.y1 + by };
}

/** Whether a segment meets a rectangle (Liang and Barsky's clipping). */
function segmentMeets(box: Box, a: Point, b: Point): boolean {
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  let from = 0;
  let to = 1;
  const edges: [number, number][] = [
    [-dx, a.x - box.x0],
    [dx, box.x1 - a.x],
    [-dy, a.y - box.y0],
    [dy, box.y1 - a.y],
  ];
  for (const [p, q] of edges) {
    if (p === 0) {
      if (q < 0) return false;
    } else if (p < 0) from = Math.max(from, q / p);
    else to = Math.min(to, q / p);
  }
  return from <= to;
}

/** The nearest token in a direction, for the arrow keys; null at the edge. */
export function neighbour(
  boxes: Boxes,
  order: readonly number[],
  from: number,
  direction: "left" | "right" | "up" | "down",
): number | null {
  const own = boxOf(boxes, from);
  if (!own) return null;
  const start = centreOf(own);
  let best: number | null = null;
  let least = Infinity;
  for (const token of order) {
    const box = boxOf(boxes, token);
    if (!box || token === from) continue;
    const { x, y } = centreOf(box);
    const horizontal = direction === "left" || direction === "right";
    const sign = direction === "right" || direction === "down" ? 1 : -1;
    const along = sign * (horizontal ? x - start.x : y - start.y);
    const across = Math.abs(horizontal ? y - start.y : x - start.x);
    if (along <= 1e-6 || across > along) continue;
    const cost = along + 3 * across;
    if (cost < least) [best, least] = [token, cost];
  }
  return best;
}
