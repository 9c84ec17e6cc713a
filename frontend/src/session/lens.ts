import { floats, ints } from "../arrays";
import { type Quantity, probabilityScale, rankScale } from "../colour/quantity";
import type { LensDocument, WordDocument } from "../documents";

export interface Reading {
  word: string;
  prob: number;
}

/** A lens whose numbers are unpacked; tokens are the visual ones, which come first. */
export class Lens {
  readonly layers: number;
  readonly k: number;
  readonly words: readonly string[];
  private readonly ids: Int32Array;
  private readonly probs: Float32Array;
  private readonly all: number;

  constructor(
    document: LensDocument,
    readonly n: number,
  ) {
    [this.layers, this.k, this.words] = [document.layers, document.k, document.words];
    this.all = document.n;
    this.ids = ints(document.ids).values;
    this.probs = floats(document.probs).values;
    if (document.n < n) throw new Error(`the lens has ${document.n} positions, the image ${n}`);
  }

  /** The most probable words of a token at a layer, the first first. */
  top(layer: number, token: number): Reading[] {
    const first = (layer * this.all + token) * this.k;
    return Array.from({ length: this.k }, (_, i) => ({
      word: this.words[this.ids[first + i] as number] ?? "?",
      prob: this.probs[first + i] as number,
    }));
  }

  firstWord(layer: number, token: number): string {
    return this.words[this.ids[(layer * this.all + token) * this.k] as number] ?? "?";
  }

  /** The probability of every token's most probable word. */
  topQuantity(): Quantity {
    const values = new Float32Array(this.layers * this.n);
    for (let layer = 0; layer < this.layers; layer++) {
      for (let token = 0; token < this.n; token++) {
        values[layer * this.n + token] = this.probs[(layer * this.all + token) * this.k] as number;
      }
    }
    return this.quantity("top-1 probability", values);
  }

  /**
   * A word's probability and rank as far as the top k tell: elsewhere NaN and -1. Pieces that are
   * the same word but for case and spaces count together.
   */
  within(word: string): { prob: Float32Array; rank: Int32Array; found: boolean } {
    const same = new Set<number>();
    this.words.forEach((one, id) => {
      if (plain(one) === plain(word)) same.add(id);
    });
    const prob = new Float32Array(this.layers * this.n).fill(NaN);
    const rank = new Int32Array(this.layers * this.n).fill(-1);
    for (let layer = 0; layer < this.layers; layer++) {
      for (let token = 0; token < this.n; token++) {
        const first = (layer * this.all + token) * this.k;
        let sum = 0;
        let best = -1;
        for (let i = 0; i < this.k; i++) {
          if (!same.has(this.ids[first + i] as number)) continue;
          sum += this.probs[first + i] as number;
          if (best < 0) best = i;
        }
        if (best < 0) continue;
        prob[layer * this.n + token] = sum;
        rank[layer * this.n + token] = best;
      }
    }
    return { prob, rank, found: same.size > 0 };
  }

  quantity(name: string, values: Float32Array): Quantity {
    const scale = probabilityScale();
    return { name, unit: "probability", layers: this.layers, n: this.n, values, scale };
  }

  /** Words that are first at some visual token, the most frequent first. */
  frequent(count: number): string[] {
    const times = new Map<string, number>();
    for (let layer = 1; layer < this.layers; layer++) {
      for (let token = 0; token < this.n; token++) {
        const word = this.firstWord(layer, token).trim();
        if (/\p{L}{3}/u.test(word)) times.set(word, (times.get(word) ?? 0) + 1);
      }
    }
    return [...times].sort((a, b) => b[1] - a[1]).slice(0, count).map(([word]) => word);
  }
}

export function plain(word: string): string {
  return word.trim().toLowerCase();
}

/** A word at every layer and visual token. */
export interface WordMap {
  word: string;
  prob: Quantity;
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
  const { layers, n } = lens;
  let prob: Float32Array;
  let rank: Int32Array;
  if (document) {
    const all = document.prob.shape[1] ?? n;
    prob = visualOnly(floats(document.prob).values, layers, all, n);
    rank = visualOnly(ints(document.rank).values, layers, all, n);
  } else ({ prob, rank } = lens.within(word));
  const shape = { layers, n };
  const known = document ? vocabulary : lens.k;
  return {
    word,
    within: document ? null : lens.k,
    prob: {
      ...shape,
      name: `probability of "${word}"`,
      unit: "probability",
      values: prob,
      scale: probabilityScale(),
    },
    rank: {
      ...shape,
      name: `rank of "${word}"`,
      unit: "rank",
      values: rank,
      scale: rankScale(Math.max(2, known)),
    },
  };
}

function visualOnly<T extends Float32Array | Int32Array>(
  values: T,
  layers: number,
  all: number,
  n: number,
): T {
  if (all === n) return values;
  const out = new (values.constructor as new (length: number) => T)(layers * n);
  for (let layer = 0; layer < layers; layer++) {
    out.set(values.subarray(layer * all, layer * all + n) as never, layer * n);
  }
  return out;
}
