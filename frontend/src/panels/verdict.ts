import type { EffectDocument } from "../documents";
import { percent } from "../words";

/** What an edit did, in one sentence, beside its control. */
export function verdictOf(
  effect: EffectDocument,
  control: EffectDocument | null,
): { text: string; changed: boolean } {
  const { before, after } = effect;
  const word = before.chosen.word.trim();
  const changed = before.chosen.id !== after.chosen.id;
  const kept = after.candidates.find((one) => one.id === before.chosen.id);
  const last = after.candidates.at(-1)?.prob ?? 0;
  const now = kept ? percent(kept.prob) : `below ${percent(last)}`;
  const was = percent(before.chosen.prob);
  let text = changed
    ? `The answer changes from "${word}" to "${after.chosen.word.trim()}": "${word}" falls from ${was} to ${now}.`
    : `The answer stays "${word}": ${was} before, ${now} after.`;
  if (control) {
    const other = control.after.chosen;
    text +=
      other.id === before.chosen.id
        ? ` As many random tokens: still "${word}", ${percent(other.prob)}.`
        : ` As many random tokens also change it, to "${other.word.trim()}".`;
  }
  return { text, changed };
}
