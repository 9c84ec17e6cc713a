import { numbersOf, rangesOf } from "./ranges";

/** Edits as the server reads them (`_requests.py`). Layers are first and last, both included. */
export type Edit =
  | { kind: "ablate"; tokens: number[]; fill: Fill }
  | {
      kind: "knockout";
      tokens: number[];
      target: "last" | "question";
      layers: [number, number];
      heads: number[] | null;
    }
  | { kind: "patch"; tokens: number[]; layers: [number, number]; donor: string };

export type Fill = "mean" | "zero" | "noise";
export type EditKind = Edit["kind"];

export const FILLS: readonly Fill[] = ["mean", "zero", "noise"];

export function editText(edit: Edit): string {
  const tokens = rangesOf(edit.tokens);
  if (edit.kind === "ablate") return `a:${edit.fill}:${tokens}`;
  const layers = edit.layers.join("-");
  if (edit.kind === "patch") return `p:${edit.donor}:${layers}:${tokens}`;
  const heads = edit.heads === null ? "" : `:${rangesOf(edit.heads)}`;
  return `k:${edit.target}:${layers}:${tokens}${heads}`;
}

/** The edit that `editText` wrote; null for anything else. */
export function editOf(text: string): Edit | null {
  const [kind, ...rest] = text.split(":");
  if (kind === "a") {
    const [fill, tokens] = rest;
    const found = numbersOf(tokens ?? "");
    if (!FILLS.includes(fill as Fill) || found.length === 0) return null;
    return { kind: "ablate", tokens: found, fill: fill as Fill };
  }
  const [what, span, tokens, heads] = rest;
  const layers = /^(\d+)-(\d+)$/.exec(span ?? "");
  const found = numbersOf(tokens ?? "");
  if (!layers || found.length === 0 || what === undefined) return null;
  const between: [number, number] = [Number(layers[1]), Number(layers[2])];
  if (between[1] < between[0]) return null;
  if (kind === "p" && /^[a-z0-9-]{1,40}$/.test(what)) {
    return { kind: "patch", tokens: found, layers: between, donor: what };
  }
  if (kind === "k" && (what === "last" || what === "question")) {
    const chosen = heads === undefined ? null : numbersOf(heads);
    return { kind: "knockout", tokens: found, target: what, layers: between, heads: chosen };
  }
  return null;
}

/** An edit in words, for people. */
export function editWords(edit: Edit): string {
  const n = edit.tokens.length;
  const tokens = `${n} ${n === 1 ? "token" : "tokens"}`;
  if (edit.kind === "ablate") return `${tokens} replaced by ${FILL_WORDS[edit.fill]}`;
  const [first, last] = edit.layers;
  const span = first === last ? `layer ${first}` : `layers ${first} to ${last}`;
  if (edit.kind === "patch") return `${tokens} taken from the other image at ${span}`;
  const target = edit.target === "last" ? "the last token" : "the question";
  const heads = edit.heads === null ? "" : `, ${edit.heads.length} heads`;
  return `edges from ${tokens} to ${target} cut in ${span}${heads}`;
}

export const FILL_WORDS: Record<Fill, string> = {
  mean: "the mean visual token",
  zero: "zeros",
  noise: "noise",
};
