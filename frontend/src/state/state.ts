import { type Edit, type EditKind, type Fill, editOf, editText } from "./edits";
import { numbersOf, rangesOf } from "./ranges";

export const VIEWS = ["answer", "lens", "attention", "maps", "flow", "tables", "samples"] as const;
export type ViewName = (typeof VIEWS)[number];

export const COLOURINGS = ["none", "word", "rank", "top", "attention", "category"] as const;
export type Colouring = (typeof COLOURINGS)[number];

export const TOOLS = ["click", "brush", "box", "lasso"] as const;
export type Tool = (typeof TOOLS)[number];

export type Theme = "auto" | "light" | "dark";

/** Everything that the address says. */
export interface State {
  sample: number | null;
  view: ViewName;
  layer: number;
  tokens: ReadonlySet<number>;
  /** The position whose attention row is shown; -1 is the last. */
  query: number;
  word: string;
  colouring: Colouring;
  /** The kind of lens, and the one that it is compared with; the first there is, and none, if empty. */
  lens: string;
  versus: string;
  /** The token that is followed through the layers. */
  follow: number | null;
  frame: number | null;
  /** The map of categories, and its layer; -1 is the last. */
  map: number;
  mapLayer: number;
  /** The attention block, and its head; head null is the sum over heads. */
  block: number;
  head: number | null;
  image: string;
  question: string;
  kept: readonly Edit[];
  kind: EditKind;
  fill: Fill;
  target: "last" | "question";
  cut: readonly [number, number] | null;
  donor: string;
  /** Layers that a sweep cuts at a time; 0 is a quarter of them. */
  width: number;
  study: string;
  other: string;
  cell: string;
  search: string;
  filter: string;
  /** Probability from which on a token belongs to the lens's segmentation. */
  threshold: number;
}

export const START: State = {
  sample: null,
  view: "answer",
  layer: -1,
  tokens: new Set(),
  query: -1,
  word: "",
  colouring: "none",
  lens: "",
  versus: "",
  follow: null,
  frame: null,
  map: 0,
  mapLayer: -1,
  block: -1,
  head: null,
  image: "",
  question: "",
  kept: [],
  kind: "ablate",
  fill: "mean",
  target: "last",
  cut: null,
  donor: "",
  width: 0,
  study: "",
  other: "",
  cell: "",
  search: "",
  filter: "",
  threshold: 0.1,
};

type Text = { to(state: State): string; from(text: string): Partial<State> | null };

const text = (key: "word" | "question" | "study" | "other" | "cell" | "search" | "filter"): Text => ({
  to: (state) => state[key],
  from: (value) => ({ [key]: value.slice(0, 4000) }),
});

const number = (key: "layer" | "query" | "block" | "width" | "map" | "mapLayer", low: number): Text => ({
  to: (state) => (state[key] === START[key] ? "" : `${state[key]}`),
  from: (value) => {
    const found = whole(value);
    return found === null || found < low ? null : { [key]: found };
  },
});

const optional = (key: "sample" | "frame" | "head" | "follow"): Text => ({
  to: (state) => (state[key] === null ? "" : `${state[key]}`),
  from: (value) => {
    const found = whole(value);
    return found === null || found < 0 ? null : { [key]: found };
  },
});

function oneOf<K extends "view" | "colouring" | "kind" | "fill" | "target">(
  key: K,
  values: readonly State[K][],
): Text {
  return {
    to: (state) => (state[key] === START[key] ? "" : state[key]),
    from: (value) => (values.includes(value as State[K]) ? { [key]: value as State[K] } : null),
  };
}

const name = (key: "image" | "donor" | "lens" | "versus"): Text => ({
  to: (state) => state[key],
  from: (value) => (/^[a-z0-9-]{1,40}$/.test(value) ? { [key]: value } : null),
});

const FIELDS: Record<string, Text> = {
  s: optional("sample"),
  v: oneOf("view", VIEWS),
  l: number("layer", 0),
  t: {
    to: (state) => rangesOf(state.tokens),
    from: (value) => ({ tokens: new Set(numbersOf(value, 65_536)) }),
  },
  q: number("query", -1),
  w: text("word"),
  c: oneOf("colouring", COLOURINGS),
  lens: name("lens"),
  vs: name("versus"),
  on: optional("follow"),
  f: optional("frame"),
  m: number("map", 0),
  ml: number("mapLayer", 0),
  b: number("block", 0),
  h: optional("head"),
  i: name("image"),
  ask: text("question"),
  e: {
    to: (state) => state.kept.map(editText).join(","),
    from: (value) => ({
      kept: value
        .split(",")
        .map(editOf)
        .filter((edit) => edit !== null)
        .slice(0, 15),
    }),
  },
  k: oneOf("kind", ["ablate", "knockout", "patch"]),
  fill: oneOf("fill", ["mean", "zero", "noise"]),
  to: oneOf("target", ["last", "question"]),
  cut: {
    to: (state) => (state.cut === null ? "" : state.cut.join("-")),
    from: (value) => {
      const match = /^(\d{1,4})-(\d{1,4})$/.exec(value);
      if (!match || Number(match[2]) < Number(match[1])) return null;
      return { cut: [Number(match[1]), Number(match[2])] };
    },
  },
  d: name("donor"),
  n: number("width", 0),
  study: text("study"),
  with: text("other"),
  cell: text("cell"),
  find: text("search"),
  show: text("filter"),
  p: {
    to: (state) => (state.threshold === START.threshold ? "" : state.threshold.toFixed(3)),
    from: (value) => {
      const found = Number(value);
      return found >= 0 && found <= 1 && value !== "" ? { threshold: found } : null;
    },
  },
};

function whole(value: string): number | null {
  return /^-?\d{1,7}$/.test(value) ? Number(value) : null;
}

/** The state as an address's fragment, without what is at its start. */
export function toHash(state: State): string {
  const found = new URLSearchParams();
  for (const [key, field] of Object.entries(FIELDS)) {
    const value = field.to(state);
    if (value !== "") found.set(key, value);
  }
  return found.toString();
}

/** The state of a fragment; a field that cannot be read is left at its start. */
export function fromHash(hash: string): State {
  let state = START;
  for (const [key, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
    const read = Object.hasOwn(FIELDS, key) ? FIELDS[key]?.from(value) : null;
    if (read) state = { ...state, ...read };
  }
  return state;
}
