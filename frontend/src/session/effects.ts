import type { AnswerDocument, EffectDocument } from "../documents";
import { randomOthers } from "../geometry/select";
import type { Edit } from "../state/edits";
import type { State } from "../state/state";
import { Latest } from "./latest";
import { type Session, asError } from "./session";

const CONTROL_SEED = 0;

/** The live loop's second half: edits of the selected tokens, and what the model says then. */
export class Effects {
  effect: EffectDocument | null = null;
  /** The same edits on as many random tokens outside the selection. */
  control: EffectDocument | null = null;
  written: AnswerDocument | null = null;
  busy = false;
  problem: string | null = null;
  private readonly queue = new Latest();
  private asked = "";

  constructor(private readonly session: Session) {}

  forget(): void {
    this.queue.drop();
    this.clear();
    this.asked = "";
  }

  private clear(): void {
    this.effect = this.control = this.written = null;
    this.problem = null;
  }

  /** The edit that the page's controls describe, of the tokens that are selected. */
  draft(state: State): Edit | null {
    const tokens = [...state.tokens];
    if (tokens.length === 0) return null;
    if (state.kind === "ablate") return { kind: "ablate", tokens, fill: state.fill };
    const layers = this.layers(state);
    if (state.kind === "knockout") {
      return { kind: "knockout", tokens, target: state.target, layers, heads: null };
    }
    return state.donor === "" ? null : { kind: "patch", tokens, layers, donor: state.donor };
  }

  /** First and last of the slider; patches are of the residual stream, one layer more. */
  layers(state: State): [number, number] {
    const most = Math.max(0, this.session.blocks - (state.kind === "patch" ? 0 : 1));
    const [first, last] = state.cut ?? [0, most];
    return [Math.min(first, most), Math.min(last, most)];
  }

  edits(state: State): Edit[] {
    const draft = this.draft(state);
    return draft ? [...state.kept, draft] : [...state.kept];
  }

  need(state: State): void {
    const { run, source } = this.session;
    if (!source.live || run === null) return;
    const edits = this.edits(state);
    const key = JSON.stringify([run, edits]);
    if (key === this.asked) return;
    this.asked = key;
    if (edits.length === 0) {
      this.queue.drop();
      this.clear();
      return;
    }
    this.busy = true;
    this.queue.run(() => this.ask(run, edits, key));
  }

  private async ask(run: string, edits: Edit[], key: string): Promise<void> {
    const live = this.session.source.live;
    if (!live || key !== this.asked) return;
    try {
      const effect = await live.effect(run, edits);
      if (key !== this.asked) return;
      this.effect = effect;
      this.control = this.written = null;
      this.problem = null;
      this.session.store.touch();
      const other = this.controlled(edits);
      if (other) {
        const control = await live.effect(run, other);
        if (key !== this.asked) return;
        this.control = control;
        this.session.store.touch();
      }
      const written = await live.generate(run, edits);
      if (key === this.asked) this.written = written;
    } catch (error) {
      if (key !== this.asked) return;
      this.clear();
      this.problem = asError(error).message;
    } finally {
      if (key === this.asked) this.busy = false;
      this.session.store.touch();
    }
  }

  /** Null where there are not as many tokens left to choose from. */
  private controlled(edits: readonly Edit[]): Edit[] | null {
    const n = this.session.picture?.n ?? 0;
    const used = new Set(edits.flatMap((edit) => edit.tokens));
    if (used.size > n - used.size) return null;
    return edits.map((edit, i) => ({
      ...edit,
      tokens: randomOthers(n, used, edit.tokens.length, CONTROL_SEED + i),
    }));
  }
}
