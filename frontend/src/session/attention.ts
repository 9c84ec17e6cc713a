import { floats } from "../arrays";
import { type Quantity, upToMost } from "../colour/quantity";
import type { AttentionDocument } from "../documents";

/** One query's attention rows; sums over heads are means times the number of heads. */
export class Attention {
  readonly layers: number;
  readonly heads: number;
  readonly n: number;
  readonly query: number;
  readonly token: string;
  readonly missing: ReadonlyMap<number, string>;
  private readonly weights: Float32Array;
  private readonly first: Float32Array | null;
  private readonly quantities = new Map<string, Quantity>();

  constructor(document: AttentionDocument) {
    ({ layers: this.layers, heads: this.heads, query: this.query, token: this.token } = document);
    this.n = document.weights.shape[2] ?? 0;
    this.weights = floats(document.weights).values;
    this.missing = new Map(document.missing.map(({ layer, why }) => [layer, why]));
    const first = document.rest["first"];
    this.first = first ? floats(first).values : null;
  }

  weight(layer: number, head: number, token: number): number {
    return this.weights[(layer * this.heads + head) * this.n + token] as number;
  }

  /** Attention of a head to a set of tokens; NaN where it cannot be read. */
  onto(layer: number, head: number, tokens: Iterable<number>): number {
    let sum = 0;
    for (const token of tokens) sum += this.weight(layer, head, token);
    return sum;
  }

  onImage(layer: number, head: number): number {
    let sum = 0;
    const start = (layer * this.heads + head) * this.n;
    for (let i = start; i < start + this.n; i++) sum += this.weights[i] as number;
    return sum;
  }

  onFirst(layer: number, head: number): number {
    return this.first?.[layer * this.heads + head] ?? NaN;
  }

  /** Mean over heads of the attention to a set, by layer. */
  byLayer(tokens: ReadonlySet<number>): number[] {
    return Array.from({ length: this.layers }, (_, layer) => {
      let sum = 0;
      for (let head = 0; head < this.heads; head++) sum += this.onto(layer, head, tokens);
      return sum / this.heads;
    });
  }

  /** One head's weights by layer and token, or their sum over heads. */
  quantity(head: number | null): Quantity {
    const key = `${head}`;
    const known = this.quantities.get(key);
    if (known) return known;
    const values = new Float32Array(this.layers * this.n);
    for (let layer = 0; layer < this.layers; layer++) {
      for (let token = 0; token < this.n; token++) {
        let sum = 0;
        if (head !== null) sum = this.weight(layer, head, token);
        else for (let one = 0; one < this.heads; one++) sum += this.weight(layer, one, token);
        values[layer * this.n + token] = sum;
      }
    }
    const of = head === null ? `sum over ${this.heads} heads` : `head ${head}`;
    const found = {
      name: `attention, ${of}`,
      unit: head === null ? "attention, summed over heads" : "attention",
      layers: this.layers,
      n: this.n,
      values,
      scale: upToMost(values),
    };
    this.quantities.set(key, found);
    return found;
  }

  /** Heads of all layers by their attention to a set, the most first. */
  sorted(tokens: ReadonlySet<number> | null): { layer: number; head: number; on: number }[] {
    const found: { layer: number; head: number; on: number }[] = [];
    for (let layer = 0; layer < this.layers; layer++) {
      if (this.missing.has(layer)) continue;
      for (let head = 0; head < this.heads; head++) {
        const on = tokens ? this.onto(layer, head, tokens) : this.onImage(layer, head);
        found.push({ layer, head, on });
      }
    }
    return found.sort((a, b) => b.on - a.on);
  }
}
