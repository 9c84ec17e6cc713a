/** Words of a text that is being typed, each with the seconds from its first letter to its last. */
import type { Word } from "./api";

const split = (text: string): string[] => text.split(/\s+/).filter((word) => word !== "");

/**
 * The words of `text`, with the times of those that did not change since `before`; a word that
 * changed keeps its beginning, a new one begins and every changed one ends at `now`.
 */
export function timed(before: readonly Word[], text: string, now: number): Word[] {
  const words = split(text);
  let head = 0;
  while (head < before.length && head < words.length && before[head]?.text === words[head]) head += 1;
  let tail = 0;
  while (
    tail < before.length - head &&
    tail < words.length - head &&
    before[before.length - 1 - tail]?.text === words[words.length - 1 - tail]
  ) {
    tail += 1;
  }
  return words.map((word, place) => {
    if (place < head) return before[place] as Word;
    const fromEnd = words.length - 1 - place;
    if (fromEnd < tail) return before[before.length - 1 - fromEnd] as Word;
    const old = place < before.length - tail ? before[place] : undefined;
    return { text: word, start: old ? old.start : now, end: now };
  });
}
