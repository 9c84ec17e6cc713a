import { floats } from "../arrays";
import type { WindowFacts } from "../documents";
import { rangesOf } from "../state/ranges";
import type { State } from "../state/state";
import { type Session, asError } from "./session";

export interface Curve {
  windows: WindowFacts[];
  probs: number[];
  before: number;
  word: string;
  ms: number;
}

/** Edges cut in every window of layers, one after the other. */
export class Sweeping {
  curve: Curve | null = null;
  progress: { done: number; total: number } | null = null;
  problem: string | null = null;
  private of = "";
  private job: AbortController | null = null;

  constructor(private readonly session: Session) {}

  get busy(): boolean {
    return this.job !== null;
  }

  forget(): void {
    this.cancel();
    this.curve = null;
    this.problem = null;
    this.of = "";
  }

  cancel(): void {
    this.job?.abort();
    this.job = null;
    this.progress = null;
  }

  /** Drops a curve that is of other tokens than those selected. */
  need(state: State): void {
    if (this.of !== "" && this.of !== this.key(state)) this.forget();
  }

  /** Layers cut at a time; a quarter of them where none was chosen. */
  width(state: State): number {
    const { blocks } = this.session;
    const wanted = state.width === 0 ? Math.round(blocks / 4) : state.width;
    return Math.max(1, Math.min(wanted, blocks));
  }

  private key(state: State): string {
    return [this.session.run, rangesOf(state.tokens), state.target, this.width(state)].join("|");
  }

  async start(): Promise<void> {
    const { run, source, state, store } = this.session;
    if (!source.live || run === null || state.tokens.size === 0) return;
    this.forget();
    const job = (this.job = new AbortController());
    this.of = this.key(state);
    store.touch();
    const ask = { tokens: [...state.tokens], target: state.target, width: this.width(state) };
    try {
      const found = await source.live.sweep(run, ask, {
        signal: job.signal,
        progress: (done, total) => {
          if (this.job !== job) return;
          this.progress = { done, total };
          store.touch();
        },
      });
      if (this.job !== job || !found) return;
      const probs = [...floats(found.value).values];
      const { windows, before, word, ms } = found;
      this.curve = { windows, probs, before, word, ms };
    } catch (error) {
      if (this.job === job) this.problem = asError(error).message;
    } finally {
      if (this.job === job) {
        this.job = null;
        this.progress = null;
      }
      store.touch();
    }
  }
}
