import type { EffectDocument } from "../documents";
import { percent } from "../words";

export interface Texts {
  before: string;
  after: string;
}

/**
 * What an edit did, in words, beside its control.
 *
 * @param texts the whole answers, once they are written: an answer may begin with the same word and
 *   go on with another.
 */
export function verdictOf(
  effect: EffectDocument,
  control: EffectDocument | null,
  texts: Texts | null,
): { text: string; changed: boolean } {
  const { before, after } = effect;
  const word = before.chosen.word.trim();
  const first = before.chosen.id !== after.chosen.id;
  const [said, says] = [texts?.before.trim() ?? "", texts?.after.trim() ?? ""];
  // One word tells no more than its probability does.
  const longer = texts !== null && said.includes(" ");
  const changed = first || (texts !== null && said !== says);
  const kept = after.candidates.find((one) => one.id === before.chosen.id);
  const last = after.candidates.at(-1)?.prob ?? 0;
  const now = kept ? percent(kept.prob) : `below ${percent(last)}`;
  const was = percent(before.chosen.prob);
  let text = longer
    ? said === says
      ? `The answer stays "${said}".`
      : `The answer changes from "${said}" to "${says}".`
    : first
    ? `The answer changes from "${word}" to "${after.chosen.word.trim()}": "${word}" goes from ${was} to ${now}.`
    : `The answer stays "${word}": ${was} before, ${now} after.`;
  if (control && !longer) {
    const other = control.after.chosen;
    text +=
      other.id === before.chosen.id
        ? ` As many random tokens: still "${word}", ${percent(other.prob)}.`
        : ` As many random tokens also change it, to "${other.word.trim()}".`;
  }
  return { text, changed };
}
