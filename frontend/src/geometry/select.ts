import { type Boxes, boxOf } from "./boxes";

/** Tokens whose box overlaps a mask, at any of its pixels; the mask may have another size. */
export function tokensOfMask(
  boxes: Boxes,
  mask: Uint8Array,
  maskSize: readonly [number, number],
  image: { width: number; height: number },
): number[] {
  const [height, width] = maskSize;
  const found: number[] = [];
  for (let token = 0; token < boxes.length / 4; token++) {
    const box = boxOf(boxes, token);
    if (!box) continue;
    const x0 = Math.max(0, Math.floor((box.x0 / image.width) * width));
    const y0 = Math.max(0, Math.floor((box.y0 / image.height) * height));
    const x1 = Math.min(width, Math.ceil((box.x1 / image.width) * width));
    const y1 = Math.min(height, Math.ceil((box.y1 / image.height) * height));
    if (holdsAny(mask, width, x0, y0, x1, y1)) found.push(token);
  }
  return found;
}

function holdsAny(
  mask: Uint8Array,
  width: number,
  x0: number,
  y0: number,
  x1: number,
  y1: number,
): boolean {
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) if (mask[y * width + x]) return true;
  }
  return false;
}

/** A set and one ring of tokens around it: those whose box touches one of its boxes. */
export function grow(boxes: Boxes, tokens: ReadonlySet<number>): Set<number> {
  const found = new Set(tokens);
  const own = [...tokens].map((token) => boxOf(boxes, token)).filter((box) => box !== null);
  for (let token = 0; token < boxes.length / 4; token++) {
    const box = boxOf(boxes, token);
    if (!box || found.has(token)) continue;
    // A quarter of a side: boxes of one grid may lie a rounding apart.
    const slack = 0.25 * Math.min(box.x1 - box.x0, box.y1 - box.y0);
    const near = own.some(
      (other) =>
        box.x0 <= other.x1 + slack &&
        other.x0 <= box.x1 + slack &&
        box.y0 <= other.y1 + slack &&
        other.y0 <= box.y1 + slack,
    );
    if (near) found.add(token);
  }
  return found;
}

/** `count` tokens outside a set, the same for the same seed; fewer where there are not so many. */
export function randomOthers(
  n: number,
  exclude: ReadonlySet<number>,
  count: number,
  seed: number,
): number[] {
  const others = Array.from({ length: n }, (_, i) => i).filter((i) => !exclude.has(i));
  let state = seed >>> 0;
  const next = () => {
    // Mulberry32, public domain, by Tommy Ettinger.
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < Math.min(count, others.length); i++) {
    const j = i + Math.floor(next() * (others.length - i));
    [others[i], others[j]] = [others[j] as number, others[i] as number];
  }
  return others.slice(0, count).sort((a, b) => a - b);
}

/** Intersection over union of two sets; null where both are empty. */
export function overlap(a: ReadonlySet<number>, b: ReadonlySet<number>): number | null {
  let both = 0;
  for (const one of a) if (b.has(one)) both += 1;
  const all = a.size + b.size - both;
  return all === 0 ? null : both / all;
}
