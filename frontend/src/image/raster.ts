import { type Boxes, boxOf } from "../geometry/boxes";

/** Which token each pixel shows: its number, or -1; made once a size, so that a layer is one pass. */
export interface Raster {
  width: number;
  height: number;
  tokens: Int32Array;
}

/** Narrower cells than this many pixels stand without a gap between them. */
const GAP_FROM = 9;

export function rasterOf(
  boxes: Boxes,
  order: readonly number[],
  image: { width: number; height: number },
  width: number,
  height: number,
): Raster {
  const tokens = new Int32Array(width * height).fill(-1);
  const [sx, sy] = [width / image.width, height / image.height];
  for (const token of order) {
    const box = boxOf(boxes, token);
    if (!box) continue;
    const gap = Math.min((box.x1 - box.x0) * sx, (box.y1 - box.y0) * sy) >= GAP_FROM ? 1 : 0;
    const x0 = Math.max(0, Math.round(box.x0 * sx));
    const x1 = Math.min(width, Math.round(box.x1 * sx) - gap);
    const y1 = Math.min(height, Math.round(box.y1 * sy) - gap);
    for (let y = Math.max(0, Math.round(box.y0 * sy)); y < y1; y++) {
      tokens.fill(token, y * width + x0, y * width + Math.max(x0, x1));
    }
  }
  return { width, height, tokens };
}

/** Writes a layer's colours into pixels; a colour of 0 stays transparent. */
export function paintRaster(
  raster: Raster,
  colours: Uint32Array,
  alpha: number,
  pixels: Uint32Array,
): void {
  const table = new Uint32Array(colours.length + 1);
  const top = (Math.round(alpha * 255) << 24) >>> 0;
  for (let token = 0; token < colours.length; token++) {
    const colour = colours[token] as number;
    table[token + 1] = colour === 0 ? 0 : ((colour & 0xffffff) | top) >>> 0;
  }
  const { tokens } = raster;
  for (let i = 0; i < tokens.length; i++) pixels[i] = table[(tokens[i] as number) + 1] as number;
}
