import type { AnswerDocument, SampleDocument, SceneObject } from "../documents";
import { safeSrc } from "../sources/source";
import { type Session, asError } from "./session";

export const DESCRIBE = "Describe this image.";

/**
 * The question about a sample whose answer's first token says most: one that the model answers
 * rightly with a word of its own, rather than with yes, no or a sentence.
 */
export function telling(sample: SampleDocument | null): string | null {
  const asked = sample?.questions ?? [];
  const best = asked.find(({ correct, predicted }) => {
    const said = predicted?.trim().toLowerCase() ?? "";
    return correct === true && /^[^\s]+$/.test(said) && !/^(yes|no)\b/.test(said);
  });
  return (best ?? asked[0])?.question ?? null;
}

/** The live loop's first half: an image, a question, and the model's answer. */
export class Asking {
  run: string | null = null;
  answer: AnswerDocument | null = null;
  busy = false;
  problem: string | null = null;
  /** The image that questions are asked about, as the server calls it. */
  private image: string | null = null;
  private objects: SceneObject[] = [];
  private asked = "";
  private turn = 0;

  constructor(private readonly session: Session) {}

  get hasImage(): boolean {
    return this.image !== null;
  }

  get question(): string {
    const { state, manifest, sample } = this.session;
    return state.question || this.asked || telling(sample) || manifest.question || DESCRIBE;
  }

  /** A file that was dropped or chosen. */
  async drop(file: Blob): Promise<void> {
    await this.work(async (live, still) => {
      const image = await live.upload(file);
      if (!still()) return;
      this.image = image;
      this.objects = [];
      this.session.store.set({ image, sample: null, tokens: new Set(), follow: null, kept: [], cut: null });
      await this.send(live, still);
    });
  }

  /** A sample of the list: its image is given to the model, its objects stay. */
  async adopt(document: SampleDocument): Promise<void> {
    const src = safeSrc(document.image?.src ?? null);
    if (src === null) {
      this.keep(document);
      return;
    }
    // Until the model has answered, nothing is asked of the run of the image before.
    this.run = null;
    await this.work(async (live, still) => {
      const image = await live.upload(await (await fetch(src)).blob());
      if (!still()) return;
      this.image = image;
      this.objects = document.objects;
      await this.send(live, still, document);
    });
  }

  /** A sample without a model to ask, or one that a notebook's run already holds. */
  keep(document: SampleDocument): void {
    this.turn += 1;
    this.image = null;
    this.answer = null;
    this.run = this.session.source.mode === "widget" ? document.id : null;
    this.busy = false;
    if (this.run !== null) void this.write(this.run, () => true);
  }

  /** An address with an image that the server may still hold. */
  async resume(image: string, question: string): Promise<void> {
    this.image = image;
    this.session.store.set({ question });
    await this.again();
  }

  /** The question, about the image that is there. */
  async again(): Promise<void> {
    await this.work((live, still) => this.send(live, still));
  }

  private async send(
    live: NonNullable<Session["source"]["live"]>,
    still: () => boolean,
    known: SampleDocument | null = null,
  ): Promise<void> {
    if (this.image === null) return;
    const before = known ?? this.session.sample;
    const own = this.session.state.question || (known ? telling(known) : null);
    const question = own || this.question;
    const reply = await live.ask(this.image, question);
    if (!still()) return;
    this.asked = question;
    this.run = reply.run;
    this.answer = reply.answer;
    const same = before !== null && this.objects.length > 0;
    this.session.show({
      ...reply.sample,
      index: same ? before.index : -1,
      objects: this.objects.map((object) => ({ ...object, tokens: [] })),
      questions: same ? before.questions : [],
      rows: same ? before.rows : [],
    });
    await this.write(reply.run, still);
  }

  /** The whole answer, after its first token. */
  private async write(run: string, still: () => boolean): Promise<void> {
    const whole = await this.session.source.live?.generate(run, []);
    if (!whole || !still() || this.run !== run) return;
    this.answer = { ...whole, ms: this.answer?.ms ?? whole.ms };
    this.session.store.touch();
  }

  private async work(
    job: (live: NonNullable<Session["source"]["live"]>, still: () => boolean) => Promise<void>,
  ): Promise<void> {
    const live = this.session.source.live;
    if (!live) return;
    const turn = ++this.turn;
    this.busy = true;
    this.problem = null;
    this.session.store.touch();
    try {
      await job(live, () => this.turn === turn);
    } catch (error) {
      if (this.turn === turn) this.problem = asError(error).message;
    } finally {
      if (this.turn === turn) this.busy = false;
      this.session.store.touch();
    }
  }
}
