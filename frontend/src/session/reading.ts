import { LayerColours, type Quantity } from "../colour/quantity";
import type { LensDocument } from "../documents";
import type { Colouring } from "../state/state";
import { Lens, type WordMap, wordMap } from "./lens";
import { type Session, asError } from "./session";

/** What one kind of lens says about the run that is shown, and about one word. */
export class Reading {
  lens: Lens | null = null;
  word: WordMap | null = null;
  problem = "";
  wordProblem = "";
  progress: { done: number; total: number } | null = null;
  private job: AbortController | null = null;
  private asked = false;
  private askedWord = "";
  private top: Quantity | null = null;
  private colours: LayerColours | null = null;

  constructor(
    private readonly session: Session,
    readonly kind: string,
  ) {}

  get busy(): boolean {
    return this.job !== null;
  }

  /** Asks for what is not there. */
  need(word: string): void {
    if (!this.asked) {
      this.asked = true;
      void this.load();
    }
    if (this.lens && this.askedWord !== word) {
      this.askedWord = word;
      void this.search(this.lens, word);
    }
  }

  /** Stops reading; what the server has read is kept there. */
  cancel(): void {
    if (!this.job) return;
    this.job.abort();
    this.job = this.progress = null;
    this.asked = false;
  }

  private async load(): Promise<void> {
    const { store, picture } = this.session;
    const job = (this.job = new AbortController());
    this.problem = "";
    try {
      const document = await this.document(job);
      if (this.job === job && document) this.lens = new Lens({ ...document, kind: this.kind }, picture?.n ?? 0);
    } catch (error) {
      if (this.job === job) this.problem = asError(error).message;
    } finally {
      if (this.job === job) this.job = this.progress = null;
      store.touch();
    }
  }

  private async document(job: AbortController): Promise<LensDocument | null> {
    const { run, source, sample, readouts, store } = this.session;
    const first = readouts.kinds[0] === this.kind;
    const own = source.mode === "widget" && first ? await source.document<LensDocument>("lens-0").catch(() => null) : null;
    if (own) return own;
    if (!source.live || run === null) return source.document<LensDocument>(`lens-${sample?.index}${first ? "" : `-${this.kind}`}`);
    const progress = (done: number, total: number) => {
      if (this.job !== job) return;
      this.progress = { done, total };
      store.touch();
    };
    return source.live.lens(run, this.kind, { signal: job.signal, progress });
  }

  private async search(lens: Lens, word: string): Promise<void> {
    const { run, source, manifest, store } = this.session;
    const wanted = word.trim();
    this.wordProblem = "";
    if (wanted === "") {
      this.word = null;
      return;
    }
    try {
      const live = source.live && run !== null ? await source.live.word(run, this.kind, wanted) : null;
      const found = wordMap(lens, wanted, live, manifest.model?.vocab_size ?? 0);
      if (this.askedWord === word) this.word = found;
    } catch (error) {
      if (this.askedWord === word) this.wordProblem = asError(error).message;
    } finally {
      store.touch();
    }
  }

  /** What colours the tokens; null where this lens does not colour them. */
  quantity(colouring: Colouring): Quantity | null {
    if (colouring === "word") return this.word?.value ?? null;
    if (colouring === "rank") return this.word?.rank ?? null;
    if (colouring === "top") return this.lens ? (this.top ??= this.lens.topQuantity()) : null;
    return null;
  }

  layerColours(colouring: Colouring): LayerColours | null {
    const quantity = this.quantity(colouring);
    if (!quantity) return null;
    if (this.colours?.quantity !== quantity) this.colours = new LayerColours(quantity);
    return this.colours;
  }
}
