import { type Boxes, type Point, boxOf, centreOf } from "./boxes";

/** Whether a closed polygon holds a point, by the even-odd rule. */
export function polygonHolds(polygon: readonly Point[], { x, y }: Point): boolean {
  let odd = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const a = polygon[i] as Point;
    const b = polygon[j] as Point;
    if (a.y > y !== b.y > y && x < ((b.x - a.x) * (y - a.y)) / (b.y - a.y) + a.x) odd = !odd;
  }
  return odd;
}

/** Tokens whose centre a lasso holds. */
export function tokensInLasso(
  boxes: Boxes,
  order: readonly number[],
  polygon: readonly Point[],
): number[] {
  if (polygon.length < 3) return [];
  return order.filter((token) => {
    const box = boxOf(boxes, token);
    return box !== null && polygonHolds(polygon, centreOf(box));
  });
}
