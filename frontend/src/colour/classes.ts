import { packColour } from "./maps";

/** Colours of the first classes, told apart with every common colour blindness (Okabe and Ito 2008). */
const FIRST: readonly [number, number, number][] = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [240, 228, 66],
  [0, 114, 178],
  [213, 94, 0],
  [204, 121, 167],
];

/** So many classes have the colours above; the hues of more are spread by the golden angle. */
export const OBJECT_HUES = FIRST.length;

/** The colour of class `index` of `many`. */
export function classColour(index: number, many: number): number {
  if (many <= OBJECT_HUES + 1) {
    const [r, g, b] = FIRST[index % OBJECT_HUES] as [number, number, number];
    return packColour(r, g, b);
  }
  const hue = (index * 137.508) % 360;
  const light = [0.56, 0.72, 0.42][index % 3] as number;
  const [r, g, b] = rgbOf(hue, 0.72, light);
  return packColour(r, g, b);
}

/** Hue in degrees, saturation and lightness from 0 to 1, as bytes. */
function rgbOf(hue: number, saturation: number, light: number): [number, number, number] {
  const reach = saturation * Math.min(light, 1 - light);
  const at = (n: number) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (light - reach * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [at(0), at(8), at(4)];
}
