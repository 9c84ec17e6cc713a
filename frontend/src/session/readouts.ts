import { LayerColours, type Quantity } from "../colour/quantity";
import type { AttentionDocument, LensDocument, WordDocument } from "../documents";
import type { State } from "../state/state";
import { Attention } from "./attention";
import { Lens, type WordMap, wordMap } from "./lens";
import { type Session, asError } from "./session";

/** What is read out of the run that is shown: its lens, one word in it, an attention row. */
export class Readouts {
  lens: Lens | null = null;
  attention: Attention | null = null;
  word: WordMap | null = null;
  readonly problems: { lens?: string; word?: string; attention?: string } = {};
  private asked: { lens: boolean; word: string; attention: number | null } = fresh();
  private turn = 0;
  private colours: LayerColours | null = null;
  private top: Quantity | null = null;

  constructor(private readonly session: Session) {}

  forget(): void {
    this.turn += 1;
    this.lens = this.attention = this.word = this.colours = this.top = null;
    this.asked = fresh();
    delete this.problems.lens;
    delete this.problems.word;
    delete this.problems.attention;
  }

  /** Asks for what a state shows and is not there. */
  need(state: State): void {
    const { sample } = this.session;
    if (!sample) return;
    const lensWanted = state.view === "lens" || ["word", "rank", "top"].includes(state.colouring);
    if (lensWanted && sample.has.lens && !this.asked.lens) {
      this.asked.lens = true;
      this.load("lens", () => this.loadLens());
    }
    if (this.lens && this.asked.word !== state.word) {
      this.asked.word = state.word;
      this.load("word", () => this.loadWord(state.word));
    }
    const attentionWanted = state.view === "attention" || state.colouring === "attention";
    if (attentionWanted && sample.has.attention && this.asked.attention !== state.query) {
      this.asked.attention = state.query;
      this.load("attention", () => this.loadAttention(state.query));
    }
  }

  private load(what: "lens" | "word" | "attention", job: () => Promise<() => void>): void {
    const turn = this.turn;
    delete this.problems[what];
    job()
      .then((found) => {
        if (turn === this.turn) found();
      })
      .catch((error: unknown) => {
        if (turn === this.turn) this.problems[what] = asError(error).message;
      })
      .finally(() => this.session.store.touch());
  }

  private async loadLens(): Promise<() => void> {
    const { run, source, sample, picture } = this.session;
    const own = source.mode === "widget" ? await source.document("lens-0").catch(() => null) : null;
    const document = (own ??
      (source.live && run !== null
        ? await source.live.lens(run)
        : await source.document(`lens-${sample?.index}`))) as LensDocument;
    const lens = new Lens(document, picture?.n ?? 0);
    return () => {
      this.lens = lens;
    };
  }

  private async loadWord(word: string): Promise<() => void> {
    const { run, source, manifest } = this.session;
    const { lens } = this;
    if (word.trim() === "" || !lens) {
      return () => {
        this.word = null;
      };
    }
    const ask = source.live && run !== null ? source.live.word(run, word.trim()) : null;
    const document: WordDocument | null = await ask;
    const found = wordMap(lens, word.trim(), document, manifest.model?.vocab_size ?? 0);
    return () => {
      if (this.asked.word === word) this.word = found;
    };
  }

  private async loadAttention(query: number): Promise<() => void> {
    const { run, source, sample } = this.session;
    const document =
      source.live && run !== null
        ? await source.live.attention(run, query)
        : await source.document<AttentionDocument>(`attention-${sample?.index}`);
    return () => {
      if (this.asked.attention === query) this.attention = new Attention(document);
    };
  }

  /** What colours the tokens, and at which layer of it. */
  quantity(state: State): Quantity | null {
    const { lens, word, attention } = this;
    if (state.colouring === "word") return word?.prob ?? null;
    if (state.colouring === "rank") return word?.rank ?? null;
    if (state.colouring === "top") return lens ? (this.top ??= lens.topQuantity()) : null;
    if (state.colouring === "attention") return attention?.quantity(state.head) ?? null;
    return null;
  }

  layerColours(state: State): LayerColours | null {
    const quantity = this.quantity(state);
    if (!quantity) return null;
    if (this.colours?.quantity !== quantity) this.colours = new LayerColours(quantity);
    return this.colours;
  }

  /** The shown layer of what is shown; the last where none was chosen. */
  layer(state: State): number {
    const ofAttention = state.colouring === "attention";
    const most = this.layers(state) - 1;
    const wanted = ofAttention ? state.block : state.layer;
    return Math.max(0, wanted < 0 ? most : Math.min(wanted, most));
  }

  layers(state: State): number {
    const { blocks } = this.session;
    if (state.colouring === "attention") return this.attention?.layers ?? Math.max(1, blocks);
    return this.lens?.layers ?? blocks + 1;
  }
}

const fresh = () => ({ lens: false, word: "", attention: null as number | null });
