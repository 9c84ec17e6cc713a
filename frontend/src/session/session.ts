import type {
  AnswerDocument,
  FlowDocument,
  ViewerManifest,
  SampleDocument,
  TableDocument,
} from "../documents";
import type { Source } from "../sources/source";
import type { State } from "../state/state";
import { Store } from "../state/store";
import { Asking } from "./asking";
import { Categories } from "./categories";
import { Effects } from "./effects";
import { Picture } from "./picture";
import { Readouts } from "./readouts";
import { Sweeping } from "./sweeping";

/** What the page knows besides the address: documents that were loaded, and answers. */
export class Session {
  manifest: ViewerManifest = EMPTY;
  picture: Picture | null = null;
  loading: string | null = null;
  problem: string | null = null;
  readonly readouts: Readouts;
  readonly asking: Asking;
  readonly effects: Effects;
  readonly sweeping: Sweeping;
  readonly categories: Categories;
  readonly documents = new Map<string, FlowDocument | TableDocument | Error | null>();

  constructor(
    readonly source: Source,
    readonly store: Store<State>,
  ) {
    this.readouts = new Readouts(this);
    this.asking = new Asking(this);
    this.effects = new Effects(this);
    this.sweeping = new Sweeping(this);
    this.categories = new Categories(this);
    store.watch((state, before) => this.react(state, before));
  }

  get state(): State {
    return this.store.get();
  }

  get sample(): SampleDocument | null {
    return this.picture?.document ?? null;
  }

  /** The name of the run that the model still holds. */
  get run(): string | null {
    return this.asking.run;
  }

  get answer(): AnswerDocument | null {
    return this.asking.answer;
  }

  /** Number of decoder blocks, as far as any document says. */
  get blocks(): number {
    const { lens, attention } = this.readouts;
    return this.manifest.model?.n_layers ?? attention?.layers ?? Math.max(0, ...(lens?.layers ?? []));
  }

  can(name: string): { ok: boolean; why: string } {
    const found = this.manifest.capabilities.find((one) => one.name === name);
    return found ?? { ok: true, why: "" };
  }

  async start(): Promise<void> {
    try {
      this.manifest = await this.source.document<ViewerManifest>("manifest");
    } catch (error) {
      this.fail(error);
      return;
    }
    const { image, question, sample } = this.state;
    if (this.source.live?.asks && image !== "") await this.asking.resume(image, question);
    else if (this.manifest.samples.length > 0) await this.open(sample ?? this.firstIndex());
    this.store.touch();
  }

  private firstIndex(): number {
    return this.manifest.samples[0]?.index ?? 0;
  }

  /** Shows a sample of the page's list; with a model, asks about it as well. */
  async open(index: number): Promise<void> {
    const facts = this.manifest.samples.find((one) => one.index === index);
    if (!facts) {
      this.fail(new Error(`there is no image ${index}: choose one in the list`));
      return;
    }
    this.loading = "image";
    this.problem = null;
    this.store.touch();
    try {
      const document = await this.source.document<SampleDocument>(`sample-${index}`);
      if ((this.state.sample ?? this.firstIndex()) !== index) return;
      this.show(document);
      this.store.set({ sample: index });
      if (this.source.live?.asks) await this.asking.adopt(document);
      else this.asking.keep(document);
    } catch (error) {
      this.fail(error);
    } finally {
      this.loading = null;
      this.store.touch();
    }
  }

  show(document: SampleDocument): void {
    this.picture = new Picture(document);
    const { tokens, frame, follow } = this.state;
    const fits = [...tokens].filter((token) => token < this.picture!.n);
    if (fits.length < tokens.size) this.store.set({ tokens: new Set(fits) });
    if (follow !== null && follow >= this.picture.n) this.store.set({ follow: null });
    if (frame !== null && frame >= this.picture.frames.length) this.store.set({ frame: null });
    this.readouts.forget();
    this.effects.forget();
    this.sweeping.forget();
    this.store.touch();
  }

  /** A study's document by key; asks for it when it is first wanted. */
  study<T extends FlowDocument | TableDocument>(key: string): T | Error | null {
    if (!this.documents.has(key)) {
      this.documents.set(key, null);
      this.source
        .document<T>(key)
        .then((document) => this.documents.set(key, document))
        .catch((error: unknown) => this.documents.set(key, asError(error)))
        .finally(() => this.store.touch());
    }
    return (this.documents.get(key) ?? null) as T | Error | null;
  }

  fail(error: unknown): void {
    this.problem = asError(error).message;
    this.store.touch();
  }

  private react(state: State, before: State): void {
    if (state.sample !== null && state.sample !== before.sample) {
      if (this.sample?.index !== state.sample) void this.open(state.sample);
    }
    this.readouts.need(state);
    this.effects.need(state);
    this.sweeping.need(state);
  }
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

const EMPTY: ViewerManifest = {
  version: 1,
  mode: "static",
  title: "",
  model: null,
  capabilities: [],
  studies: [],
  samples: [],
  lenses: [],
};
