import { ints } from "../arrays";
import { OBJECT_HUES, classColour } from "../colour/classes";
import type { CategoryMap } from "../documents";
import type { State } from "../state/state";
import type { Session } from "./session";

/** One class of one layer of a map: how many tokens have it, and its colour. */
export interface ClassCount {
  name: string;
  count: number;
  colour: number;
}

/** Categories of tokens: what a probe says that each shows, or which group each belongs to. */
export class Categories {
  private readonly unpacked = new WeakMap<CategoryMap, Int32Array>();
  private coloured: { layer: number; of: CategoryMap | null; colours: Uint32Array } = { layer: 0, of: null, colours: new Uint32Array(0) };

  constructor(private readonly session: Session) {}

  /** The maps of the shown image. */
  get maps(): readonly CategoryMap[] {
    return this.session.sample?.categories ?? NONE;
  }

  /** The chosen map; the first where there is none of that number. */
  map(state: State): CategoryMap | null {
    return this.maps[state.map] ?? this.maps[0] ?? null;
  }

  /** The chosen layer of the chosen map; the last that is no truth where none was chosen. */
  layer(state: State): number {
    const map = this.map(state);
    if (!map) return 0;
    const most = map.layers.length - 1;
    if (state.mapLayer >= 0) return Math.min(state.mapLayer, most);
    return Math.max(0, map.layers.at(-1) === "truth" ? most - 1 : most);
  }

  /** The class of a token; null where it has none. */
  name(state: State, token: number): string | null {
    const map = this.map(state);
    const value = this.values(map)?.[this.layer(state) * this.width(map) + token] ?? -1;
    return map?.classes[value] ?? null;
  }

  /** The colours of all tokens; null where no map colours them. */
  colours(state: State): Uint32Array | null {
    const map = this.map(state);
    const values = this.values(map);
    if (!map || !values || state.colouring !== "category") return null;
    const layer = this.layer(state);
    if (this.coloured.of !== map || this.coloured.layer !== layer) {
      const n = this.width(map);
      const colours = new Uint32Array(n);
      for (let token = 0; token < n; token++) colours[token] = colourOf(map, values[layer * n + token] as number);
      this.coloured = { layer, of: map, colours };
    }
    return this.coloured.colours;
  }

  /** The classes of the shown layer, the most frequent first. */
  counts(state: State): ClassCount[] {
    const map = this.map(state);
    const values = this.values(map);
    if (!map || !values) return [];
    const n = this.width(map);
    const first = this.layer(state) * n;
    const counts = new Map<number, number>();
    for (let token = 0; token < n; token++) {
      const value = values[first + token] as number;
      if (value >= 0) counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    return [...counts]
      .sort(([a, x], [b, y]) => y - x || a - b)
      .map(([value, count]) => ({ name: map.classes[value] ?? `${value}`, count, colour: colourOf(map, value) }));
  }

  private width(map: CategoryMap | null): number {
    return map?.values.shape[1] ?? 0;
  }

  private values(map: CategoryMap | null): Int32Array | null {
    if (!map) return null;
    let found = this.unpacked.get(map);
    if (!found) {
      found = ints(map.values).values;
      this.unpacked.set(map, found);
    }
    return found;
  }
}

const NONE: readonly CategoryMap[] = [];

/** Background stays as it is: what is coloured is what was found. */
function colourOf(map: CategoryMap, value: number): number {
  if (value < 0 || map.classes[value] === "background") return 0;
  const plain = map.classes[0] === "background" ? value - 1 : value;
  return classColour(plain, Math.max(OBJECT_HUES, map.classes.length));
}
