/** Colour maps as 256 colours, each 0xAABBGGRR as ImageData lays it out in little-endian memory. */
export type ColourMap = Uint32Array;

type Stop = readonly [number, number, number];

/** Cividis (Nuñez, Anderton, Renslow 2018), sampled at 9 points: nearly the same to all eyes. */
const CIVIDIS: readonly Stop[] = [
  [0, 34, 78],
  [25, 53, 110],
  [62, 75, 107],
  [87, 96, 110],
  [112, 117, 119],
  [138, 138, 119],
  [167, 160, 108],
  [203, 185, 86],
  [253, 231, 55],
];

/** Viridis (van der Walt, Smith, Firing 2015), sampled at 9 points. */
const VIRIDIS: readonly Stop[] = [
  [68, 1, 84],
  [71, 45, 123],
  [59, 82, 139],
  [44, 114, 142],
  [33, 145, 140],
  [40, 174, 128],
  [94, 201, 98],
  [173, 220, 48],
  [253, 231, 37],
];

/** Blue to orange over grey: told apart with every common colour blindness. */
const BLUE_ORANGE: readonly Stop[] = [
  [14, 78, 140],
  [52, 118, 182],
  [114, 164, 208],
  [180, 205, 226],
  [238, 238, 236],
  [246, 209, 170],
  [233, 163, 93],
  [208, 115, 33],
  [150, 73, 0],
];

export function packColour(r: number, g: number, b: number, a = 255): number {
  return ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

export function unpackColour(colour: number): [number, number, number, number] {
  return [colour & 255, (colour >>> 8) & 255, (colour >>> 16) & 255, colour >>> 24];
}

export function css(colour: number): string {
  const [r, g, b] = unpackColour(colour);
  return `rgb(${r},${g},${b})`;
}

function mapOf(stops: readonly Stop[]): ColourMap {
  const map = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (stops.length - 1);
    const from = stops[Math.floor(place)] as Stop;
    const to = stops[Math.min(stops.length - 1, Math.floor(place) + 1)] as Stop;
    const t = place - Math.floor(place);
    const mix = (k: 0 | 1 | 2) => Math.round(from[k] + t * (to[k] - from[k]));
    map[i] = packColour(mix(0), mix(1), mix(2));
  }
  return map;
}

export const cividis = mapOf(CIVIDIS);
export const viridis = mapOf(VIRIDIS);
export const blueOrange = mapOf(BLUE_ORANGE);

/** The colour of a number between 0 and 1; transparent where it is none. */
export function colourOf(map: ColourMap, value: number): number {
  if (Number.isNaN(value)) return 0;
  return map[Math.max(0, Math.min(255, Math.round(value * 255)))] as number;
}

/** Whether dark or light text is read better on a colour (relative luminance, WCAG 2.2). */
export function inkOn(colour: number): "#101418" | "#ffffff" {
  const linear = (byte: number) => {
    const c = byte / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  };
  const [r, g, b] = unpackColour(colour);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) > 0.179
    ? "#101418"
    : "#ffffff";
}
