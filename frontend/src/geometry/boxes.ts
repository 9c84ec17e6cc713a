/** Boxes of visual tokens: x0 y0 x1 y1 in pixels of the image, four numbers a token, NaN unplaced. */
export type Boxes = Float32Array;

export interface Box {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export interface Point {
  x: number;
  y: number;
}

export function boxOf(boxes: Boxes, token: number): Box | null {
  const x0 = boxes[4 * token];
  if (x0 === undefined || Number.isNaN(x0)) return null;
  const [y0, x1, y1] = [1, 2, 3].map((i) => boxes[4 * token + i]) as [number, number, number];
  return { x0, y0, x1, y1 };
}

export function centreOf(box: Box): Point {
  return { x: (box.x0 + box.x1) / 2, y: (box.y0 + box.y1) / 2 };
}

export function areaOf(box: Box): number {
  return Math.max(0, box.x1 - box.x0) * Math.max(0, box.y1 - box.y0);
}

/** Placed tokens, the largest first, so that small ones are drawn above. */
export function drawOrder(boxes: Boxes, chosen: (token: number) => boolean): number[] {
  const found: [number, number][] = [];
  for (let token = 0; token < boxes.length / 4; token++) {
    const box = boxOf(boxes, token);
    if (box && chosen(token)) found.push([token, areaOf(box)]);
  }
  // Areas of one grid differ by rounding; the order within a grid is the decoder's.
  return found.sort((a, b) => Math.round(b[1]) - Math.round(a[1]) || a[0] - b[0]).map(([t]) => t);
}

const SIDES = new WeakMap<Boxes, number>();

/** The smaller of the sides that most tokens have, in pixels of the image; computed once a layout. */
export function typicalSide(boxes: Boxes): number {
  let side = SIDES.get(boxes);
  if (side === undefined) SIDES.set(boxes, (side = medianSide(boxes)));
  return side;
}

function medianSide(boxes: Boxes): number {
  const sides: number[] = [];
  for (let token = 0; token < boxes.length / 4; token++) {
    const box = boxOf(boxes, token);
    if (box) sides.push(Math.min(box.x1 - box.x0, box.y1 - box.y0));
  }
  sides.sort((a, b) => a - b);
  return sides[sides.length >> 1] ?? 0;
}
