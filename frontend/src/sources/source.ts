import type {
  AnswerDocument,
  AskReply,
  AttentionDocument,
  EffectDocument,
  LensDocument,
  SweepDocument,
  WordDocument,
} from "../documents";
import type { Edit } from "../state/edits";

/** Where the page's documents come from. */
export interface Source {
  readonly mode: "static" | "live" | "widget";
  /** The document of a key, asked for once. */
  document<T>(key: string): Promise<T>;
  /** The model, where there is one to ask. */
  readonly live: Live | null;
}

/** A model that answers; every call may be refused with an Error of one line. */
export interface Live {
  /** Whether images can be given to it and new questions asked. */
  readonly asks: boolean;
  upload(image: Blob): Promise<string>;
  imageSrc(image: string): string;
  ask(image: string, question: string): Promise<AskReply>;
  generate(run: string, edits: readonly Edit[]): Promise<AnswerDocument>;
  /** Null if it was cancelled. */
  lens(run: string, kind: string, job: Job): Promise<LensDocument | null>;
  word(run: string, kind: string, word: string): Promise<WordDocument>;
  attention(run: string, query: number): Promise<AttentionDocument>;
  effect(run: string, edits: readonly Edit[]): Promise<EffectDocument>;
  sweep(run: string, ask: SweepAsk, job: Job): Promise<SweepDocument | null>;
}

export interface SweepAsk {
  tokens: number[];
  target: "last" | "question";
  width: number;
}

/** What somebody who waits for a long computation knows and does. */
export interface Job {
  progress(done: number, total: number): void;
  signal: AbortSignal;
}

/** Images lie beside the page, on its server or inside a document; nothing is fetched elsewhere. */
export function safeSrc(src: string | null): string | null {
  if (src === null) return null;
  if (/^data:image\/(png|jpeg|webp|gif);base64,/.test(src)) return src;
  const relative = /^[A-Za-z0-9_][A-Za-z0-9_./%-]*$/.test(src) && !src.includes("..");
  return relative ? src : null;
}

/** Asks for each key once and keeps the answer; a failure is forgotten, so that it can be retried. */
export class Kept {
  private readonly known = new Map<string, Promise<unknown>>();

  constructor(private readonly load: (key: string) => Promise<unknown>) {}

  get<T>(key: string): Promise<T> {
    let found = this.known.get(key);
    if (!found) {
      found = this.load(key);
      this.known.set(key, found);
      found.catch(() => this.known.delete(key));
    }
    return found as Promise<T>;
  }
}
