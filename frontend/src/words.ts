/** Numbers and tokens as people read them. */

import type { Unit } from "./documents";

export function percent(p: number): string {
  if (Number.isNaN(p)) return "–";
  const hundred = 100 * p;
  if (hundred > 0 && hundred < 0.1) return "<0.1%";
  if (hundred > 99.9 && hundred < 100) return ">99.9%";
  return `${hundred >= 10 ? hundred.toFixed(0) : hundred.toFixed(1)}%`;
}

/** A lens's number: a probability in percent, a cosine with two digits. */
export function valueOf(value: number, unit: Unit): string {
  if (unit === "probability" || Number.isNaN(value)) return percent(value);
  return value.toFixed(2).replace("-", "\u2212");
}

/** What a lens's numbers are called. */
export const UNITS: Readonly<Record<Unit, string>> = { probability: "probability", similarity: "cosine similarity" };

export function milliseconds(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** A token's text with what cannot be seen made visible. */
export function visible(token: string): string {
  return token.replace(/\n/g, "↵").replace(/\t/g, "→").replace(/^ | $/g, "·") || "∅";
}

export function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function several(count: number, one: string, more = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : more}`;
}

const TARGETS: Readonly<Record<string, string>> = { last: "the last token", "last-row": "the last visual row", question: "the question" };

/** A knockout's target in words. */
export function targetName(target: string): string {
  return Object.hasOwn(TARGETS, target) ? (TARGETS[target] as string) : target;
}
