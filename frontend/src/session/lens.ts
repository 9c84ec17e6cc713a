import { floats, ints } from "../arrays";
import { type Quantity, type Scale, probabilityScale, rankScale, similarityScale } from "../colour/quantity";
import type { LensDocument, Unit, WordDocument } from "../documents";
import { UNITS } from "../words";

/** A word, how near it is in the unit of its lens, and where it was read if that is known. */
export interface Said {
  word: string;
  value: number;
  context: Context | null;
}

/** A sentence around a word, and the layer of the text that it is from. */
export interface Context {
  before: string;
  word: string;
  after: string;
  layer: number;
}

/**
 * A lens whose numbers are unpacked; tokens are the visual ones, which come first. `rows` count the
 * layers that it read, whose numbers are in `layers`.
 */
export class Lens {
  readonly kind: string;
  readonly unit: Unit;
  readonly layers: readonly number[];
  readonly rows: number;
  readonly k: number;
  readonly words: readonly string[];
  readonly note: string;
  private readonly ids: Int32Array;
  private readonly values: Float32Array;
  private readonly all: number;
  private readonly contexts: { sentences: readonly string[]; places: Int32Array; ids: Int32Array } | null;
  private plainWords: readonly string[] | null = null;

  constructor(
    document: LensDocument,
    readonly n: number,
  ) {
    ({ kind: this.kind, unit: this.unit, layers: this.layers, k: this.k, words: this.words, note: this.note } = document);
    [this.rows, this.all] = [document.layers.length, document.n];
    this.ids = ints(document.ids).values;
    this.values = floats(document.values).values;
    const { contexts } = document;
    this.contexts = contexts && { sentences: contexts.sentences, places: ints(contexts.places).values, ids: ints(contexts.ids).values };
    if (document.n < n) throw new Error(`the lens has ${document.n} positions, the image ${n}`);
  }

  /** The row of a layer; -1 where the lens did not read it. */
  row(layer: number): number {
    return this.layers.indexOf(layer);
  }

  private first(row: number, token: number): number {
    return (row * this.all + token) * this.k;
  }

  /** The nearest words of a token, the first first. */
  top(row: number, token: number): Said[] {
    const first = this.first(row, token);
    return Array.from({ length: this.k }, (_, i) => ({
      word: this.words[this.ids[first + i] as number] ?? "?",
      value: this.values[first + i] as number,
      context: this.context(first + i),
    }));
  }

  private context(place: number): Context | null {
    const { contexts } = this;
    const at = 4 * (contexts?.ids[place] ?? -1);
    const text = contexts && at >= 0 ? contexts.sentences[contexts.places[at] as number] : undefined;
    if (!contexts || text === undefined) return null;
    const [start, end, layer] = [1, 2, 3].map((i) => contexts.places[at + i] as number) as [number, number, number];
    return { before: text.slice(0, start), word: text.slice(start, end), after: text.slice(end), layer };
  }

  firstWord(row: number, token: number): string {
    return this.words[this.ids[this.first(row, token)] as number] ?? "?";
  }

  /** The same but for case and spaces. */
  plainWord(row: number, token: number): string {
    this.plainWords ??= this.words.map(plain);
    return this.plainWords[this.ids[this.first(row, token)] as number] ?? "?";
  }

  /** How near every token's nearest word is. */
  topQuantity(): Quantity {
    const values = new Float32Array(this.rows * this.n);
    for (let row = 0; row < this.rows; row++) {
      for (let token = 0; token < this.n; token++) {
        values[row * this.n + token] = this.values[this.first(row, token)] as number;
      }
    }
    return this.quantity(`top-1 ${UNITS[this.unit]}, ${this.kind} lens`, values);
  }

  /**
   * A word's value and rank as far as the top k tell: elsewhere NaN and -1. Pieces that are the same
   * word but for case and spaces count together: their probabilities are added, of similarities the
   * largest counts.
   */
  within(word: string): { values: Float32Array; rank: Int32Array; found: boolean } {
    const same = new Set<number>();
    this.words.forEach((one, id) => {
      if (plain(one) === plain(word)) same.add(id);
    });
    const values = new Float32Array(this.rows * this.n).fill(NaN);
    const rank = new Int32Array(this.rows * this.n).fill(-1);
    for (let row = 0; row < this.rows; row++) {
      for (let token = 0; token < this.n; token++) {
        const first = this.first(row, token);
        const places = Array.from({ length: this.k }, (_, i) => i).filter((i) => same.has(this.ids[first + i] as number));
        const [best] = places;
        if (best === undefined) continue;
        const found = places.map((i) => this.values[first + i] as number);
        const sum = this.unit === "probability" ? found.reduce((a, b) => a + b) : Math.max(...found);
        values[row * this.n + token] = sum;
        rank[row * this.n + token] = best;
      }
    }
    return { values, rank, found: same.size > 0 };
  }

  quantity(name: string, values: Float32Array): Quantity {
    return { name, unit: this.unit, layers: this.rows, n: this.n, values, scale: this.scale(values) };
  }

  private scale(values: Float32Array): Scale {
    return this.unit === "probability" ? probabilityScale() : similarityScale(values);
  }

  /** Words that are first at some visual token, the most frequent first. */
  frequent(count: number): string[] {
    const times = new Map<string, number>();
    this.layers.forEach((layer, row) => {
      if (layer === 0) return;
      for (let token = 0; token < this.n; token++) {
        const word = this.firstWord(row, token).trim();
        if (/\p{L}{3}/u.test(word)) times.set(word, (times.get(word) ?? 0) + 1);
      }
    });
    return [...times].sort((a, b) => b[1] - a[1]).slice(0, count).map(([word]) => word);
  }
}

export function plain(word: string): string {
  return word.trim().toLowerCase();
}

/** A word at every layer and visual token. */
export interface WordMap {
  word: string;
  value: Quantity;
  rank: Quantity;
  /** Known only within the lens's top k. */
  within: number | null;
}

export function wordMap(
  lens: Lens,
  word: string,
  document: WordDocument | null,
  vocabulary: number,
): WordMap {
  const { rows, n } = lens;
  let values: Float32Array;
  let rank: Int32Array;
  if (document) {
    const all = document.values.shape[1] ?? n;
    values = visualOnly(floats(document.values).values, rows, all, n);
    rank = visualOnly(ints(document.rank).values, rows, all, n);
  } else ({ values, rank } = lens.within(word));
  const known = document ? vocabulary : lens.k;
  return {
    word,
    within: document ? null : lens.k,
    value: lens.quantity(`${UNITS[lens.unit]} of "${word}", ${lens.kind} lens`, values),
    rank: {
      layers: rows,
      n,
      name: `rank of "${word}", ${lens.kind} lens`,
      unit: "rank",
      values: rank,
      scale: rankScale(Math.max(2, known)),
    },
  };
}

function visualOnly<T extends Float32Array | Int32Array>(
  values: T,
  rows: number,
  all: number,
  n: number,
): T {
  if (all === n) return values;
  const out = new (values.constructor as new (length: number) => T)(rows * n);
  for (let row = 0; row < rows; row++) {
    out.set(values.subarray(row * all, row * all + n) as never, row * n);
  }
  return out;
}

/** At how many tokens two lenses say the same first word, and at which they do not. */
export interface Agreement {
  same: number;
  of: number;
  differ: ReadonlySet<number>;
}

/** Compares the first words of two lenses at a layer; case and spaces do not count. */
export function agreement(one: Lens, other: Lens, layer: number, tokens: Iterable<number>): Agreement | null {
  const [row, otherRow] = [one.row(layer), other.row(layer)];
  if (row < 0 || otherRow < 0) return null;
  const differ = new Set<number>();
  let of = 0;
  for (const token of tokens) {
    of += 1;
    if (one.plainWord(row, token) !== other.plainWord(otherRow, token)) differ.add(token);
  }
  return { same: of - differ.size, of, differ };
}
