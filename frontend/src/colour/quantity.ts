import { valueOf } from "../words";
import { type ColourMap, cividis, colourOf, viridis } from "./maps";

/** One number per layer and token, and how to show it. */
export interface Quantity {
  name: string;
  /** What the numbers are, for the legend: "probability of 'dog'". */
  unit: string;
  layers: number;
  n: number;
  values: Float32Array | Int32Array;
  scale: Scale;
}

/** From a quantity's number to 0..1, and the numbers at both ends. */
export interface Scale {
  map: ColourMap;
  at(value: number): number;
  low: string;
  high: string;
}

/** Probabilities between 0 and 1; the square root tells small ones apart. */
export function probabilityScale(): Scale {
  return { map: viridis, at: (p) => Math.sqrt(p), low: "0", high: "1" };
}

/** Cosines, from the least to the most of what is shown. */
export function similarityScale(values: ArrayLike<number>): Scale {
  let [least, most] = [1, -1];
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value < least) least = value;
    if (value > most) most = value;
  }
  const span = most - least;
  const at = (value: number) => (span > 0 ? (value - least) / span : 0.5);
  return { map: viridis, at, low: valueOf(least, "similarity"), high: valueOf(most, "similarity") };
}

/** Ranks: the first is bright, each factor of ten darker. */
export function rankScale(words: number): Scale {
  const most = Math.log10(Math.max(10, words));
  return {
    map: cividis,
    at: (rank) => (rank < 0 ? NaN : 1 - Math.log10(rank + 1) / most),
    low: `${words}th`,
    high: "1st",
  };
}

/** From 0 to the largest number there is. */
export function upToMost(values: ArrayLike<number>): Scale {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, (values[i] as number) || 0);
  const high = most;
  return {
    map: viridis,
    at: (value) => (high === 0 ? 0 : Math.sqrt(value / high)),
    low: "0",
    high: high.toPrecision(2),
  };
}

/** The colours of one layer's tokens. */
export function layerColours(quantity: Quantity, layer: number): Uint32Array {
  const { n, values, scale } = quantity;
  const colours = new Uint32Array(n);
  const first = layer * n;
  for (let token = 0; token < n; token++) {
    colours[token] = colourOf(scale.map, scale.at(values[first + token] as number));
  }
  return colours;
}

/** Colours by layer, each computed when it is first asked for. */
export class LayerColours {
  private readonly known: (Uint32Array | undefined)[] = [];

  constructor(readonly quantity: Quantity) {}

  of(layer: number): Uint32Array {
    return (this.known[layer] ??= layerColours(this.quantity, layer));
  }
}
