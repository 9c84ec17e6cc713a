import { LayerColours, type Quantity } from "../colour/quantity";
import type { AttentionDocument } from "../documents";
import type { Colouring, State } from "../state/state";
import { Attention } from "./attention";
import { type Agreement, type Lens, type WordMap, agreement } from "./lens";
import { Reading } from "./reading";
import { type Session, asError } from "./session";

/** The chosen lens, or the one beside it. */
export type Side = "chosen" | "other";

const OF_LENSES: readonly Colouring[] = ["word", "rank", "top"];

/** What is read out of the run that is shown: by lenses, and an attention row. */
export class Readouts {
  attention: Attention | null = null;
  attentionProblem: string | null = null;
  private readonly readings = new Map<string, Reading>();
  private askedQuery: number | null = null;
  private turn = 0;
  private colours: LayerColours | null = null;
  private compared: { key: unknown[]; found: Agreement | null } | null = null;

  constructor(private readonly session: Session) {}

  forget(): void {
    this.turn += 1;
    for (const reading of this.readings.values()) reading.cancel();
    this.readings.clear();
    this.attention = this.colours = this.compared = null;
    this.askedQuery = this.attentionProblem = null;
  }

  /** The kinds of lens that can be read. */
  get kinds(): readonly string[] {
    const usable = this.session.manifest.lenses.filter((one) => one.ok).map((one) => one.name);
    return usable.length > 0 ? usable : ["logit"];
  }

  kind(state: State): string {
    return this.kinds.includes(state.lens) ? state.lens : (this.kinds[0] as string);
  }

  /** The kind that the chosen one is compared with; null if with none. */
  versus(state: State): string | null {
    const { versus } = state;
    const usable = state.view === "lens" && versus !== this.kind(state);
    return usable && this.kinds.includes(versus) ? versus : null;
  }

  /** The reading of a side; null where there is none yet. */
  on(side: Side, state: State): Reading | null {
    const kind = side === "chosen" ? this.kind(state) : this.versus(state);
    return kind === null ? null : (this.readings.get(kind) ?? null);
  }

  get lens(): Lens | null {
    return this.on("chosen", this.session.state)?.lens ?? null;
  }

  get word(): WordMap | null {
    return this.on("chosen", this.session.state)?.word ?? null;
  }

  /** Asks for what a state shows and is not there. */
  need(state: State): void {
    const { asking, run, sample, source } = this.session;
    // The run of this image will be there soon: what its documents say is not asked for first.
    if (!sample || (source.live?.asks && run === null && asking.busy)) return;
    const shown = state.view === "lens" || OF_LENSES.includes(state.colouring);
    const wanted = shown && sample.has.lens ? [this.kind(state), this.versus(state)] : [];
    for (const [kind, reading] of this.readings) {
      if (!wanted.includes(kind)) reading.cancel();
    }
    for (const kind of wanted) {
      if (kind === null) continue;
      if (!this.readings.has(kind)) this.readings.set(kind, new Reading(this.session, kind));
      this.readings.get(kind)?.need(state.word);
    }
    const attentionWanted = state.view === "attention" || state.colouring === "attention";
    if (attentionWanted && sample.has.attention && this.askedQuery !== state.query) {
      this.askedQuery = state.query;
      void this.loadAttention(state.query);
    }
  }

  private async loadAttention(query: number): Promise<void> {
    const { run, source, sample, store } = this.session;
    const { turn } = this;
    this.attentionProblem = null;
    try {
      const document =
        source.live && run !== null
          ? await source.live.attention(run, query)
          : await source.document<AttentionDocument>(`attention-${sample?.index}`);
      if (turn === this.turn && this.askedQuery === query) this.attention = new Attention(document);
    } catch (error) {
      if (turn === this.turn) this.attentionProblem = asError(error).message;
    } finally {
      store.touch();
    }
  }

  /** What colours the tokens of a side. */
  quantity(state: State, side: Side = "chosen"): Quantity | null {
    if (state.colouring === "attention") return this.attention?.quantity(state.head) ?? null;
    return this.on(side, state)?.quantity(state.colouring) ?? null;
  }

  layerColours(state: State, side: Side = "chosen"): LayerColours | null {
    if (state.colouring !== "attention") return this.on(side, state)?.layerColours(state.colouring) ?? null;
    const quantity = this.quantity(state);
    if (!quantity) return null;
    if (this.colours?.quantity !== quantity) this.colours = new LayerColours(quantity);
    return this.colours;
  }

  /** The numbers of the layers that can be shown: those that both lenses read, if there are any. */
  layers(state: State): readonly number[] {
    if (state.colouring === "attention") return upTo(this.attention?.layers ?? Math.max(1, this.session.blocks));
    const [lens, other] = [this.on("chosen", state)?.lens, this.on("other", state)?.lens];
    if (!lens) return upTo(this.session.blocks + 1);
    const shared = other ? lens.layers.filter((layer) => other.row(layer) >= 0) : [];
    return shared.length > 0 ? shared : lens.layers;
  }

  /** The number of the shown layer: the wanted one or the nearest to it, the last where none was chosen. */
  layer(state: State): number {
    const layers = this.layers(state);
    const wanted = state.colouring === "attention" ? state.block : state.layer;
    const last = layers.at(-1) ?? 0;
    if (wanted < 0) return last;
    return layers.reduce((best, layer) => (Math.abs(layer - wanted) < Math.abs(best - wanted) ? layer : best), last);
  }

  /** The shown layer's row in a side's quantity; -1 where that lens did not read it. */
  row(state: State, side: Side = "chosen"): number {
    const layer = this.layer(state);
    return state.colouring === "attention" ? layer : (this.on(side, state)?.lens?.row(layer) ?? -1);
  }

  /** The shown layer's colours by token. */
  tokenColours(state: State, side: Side = "chosen"): Uint32Array | null {
    const row = this.row(state, side);
    return row < 0 ? null : (this.layerColours(state, side)?.of(row) ?? null);
  }

  /** Where the first words of the two lenses are the same at the shown layer; null without two. */
  agreement(state: State): Agreement | null {
    const [lens, other] = [this.on("chosen", state)?.lens, this.on("other", state)?.lens];
    const { picture } = this.session;
    if (!lens || !other || !picture) return null;
    const layer = this.layer({ ...state, colouring: "top" });
    const key = [lens, other, layer, picture, state.frame];
    if (!this.compared || !key.every((one, i) => one === this.compared?.key[i])) {
      this.compared = { key, found: agreement(lens, other, layer, picture.tokens(state.frame)) };
    }
    return this.compared.found;
  }
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
