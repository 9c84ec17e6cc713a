import { describe, expect, test } from "vitest";
import { type Edit, editOf, editText } from "../src/state/edits";
import { numbersOf, pythonRanges, rangesOf } from "../src/state/ranges";
import { START, type State, fromHash, toHash } from "../src/state/state";
import { Store } from "../src/state/store";

describe("ranges", () => {
  test.each([
    [[], ""],
    [[5], "5"],
    [[3, 1, 2, 9, 9], "1-3.9"],
    [[0, 2, 4, 5], "0.2.4-5"],
  ])("%j is %s", (numbers, text) => {
    expect(rangesOf(numbers)).toBe(text);
    expect(numbersOf(text)).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  });

  test("what is no range, or too large, is left out", () => {
    expect(numbersOf("x.2-.-3.7.1-2-3.1e3")).toEqual([7]);
    expect(numbersOf("5-2")).toEqual([]);
    expect(numbersOf("0-9999999", 100)).toEqual([]);
  });

  test("as Python", () => {
    expect(pythonRanges([4, 3, 5, 6, 7, 12, 20, 21])).toBe("[*range(3, 8), 12, 20, 21]");
    expect(pythonRanges([])).toBe("[]");
  });
});

const EDITS: Edit[] = [
  { kind: "ablate", tokens: [1, 2, 3, 9], fill: "noise" },
  { kind: "knockout", tokens: [4], target: "question", layers: [0, 7], heads: null },
  { kind: "knockout", tokens: [4], target: "last", layers: [2, 2], heads: [0, 3] },
  { kind: "patch", tokens: [8, 9], layers: [0, 8], donor: "run-4" },
];

describe("edits as text", () => {
  test.each(EDITS)("$kind comes back", (edit) => expect(editOf(editText(edit))).toEqual(edit));

  test.each(["", "a", "a:mean:", "a:water:1", "k:last:5-2:1", "k:first:1-2:1", "p:Run 4:0-1:1", "z:1:2"])(
    "%s is none",
    (text) => expect(editOf(text)).toBeNull(),
  );
});

describe("addresses", () => {
  test("the start is empty", () => {
    expect(toHash(START)).toBe("");
    expect(fromHash("")).toEqual(START);
  });

  test("every field comes back", () => {
    const state: State = {
      sample: 12,
      view: "lens",
      layer: 7,
      tokens: new Set([1, 2, 3, 40]),
      query: 140,
      word: `<img src=x onerror="alert(1)"> & =#é`,
      colouring: "rank",
      lens: "jacobian-2",
      versus: "embedding",
      follow: 41,
      frame: 1,
      map: 2,
      mapLayer: 1,
      block: 3,
      head: 2,
      image: "im-4",
      question: "What colour is the clock? #1 & more",
      kept: EDITS,
      kind: "patch",
      fill: "zero",
      target: "question",
      cut: [2, 5],
      donor: "run-3",
      width: 3,
      study: "a b/c",
      other: "d",
      cell: "1,2,3",
      search: "two words",
      filter: "broken:ablation:object + 1 ring",
      threshold: 0.25,
    };
    for (const [key, value] of Object.entries(START)) {
      expect(state[key as keyof State], key).not.toEqual(value);
    }
    expect(fromHash(`#${toHash(state)}`)).toEqual(state);
  });

  test.each(["s=-1", "s=x", "v=evil", "l=1e9", "cut=5-2", "p=2", "p=", "i=../../x", "__proto__=1", "constructor=1", "c=<b>"])(
    "%s changes nothing",
    (hash) => expect(fromHash(hash)).toEqual(START),
  );
});

describe("store", () => {
  test("watchers run once for many changes, with the value before", () => {
    const waiting: (() => void)[] = [];
    const store = new Store({ a: 1, b: 1 }, (run) => waiting.push(run));
    const seen: unknown[] = [];
    store.watch((now, before) => seen.push([now.a, before.a]));
    store.set({ a: 2 });
    store.set({ a: 3 });
    store.set({ b: 1 });
    expect(waiting.length).toBe(1);
    waiting.forEach((run) => run());
    expect(seen).toEqual([[3, 1]]);
  });

  test("the same value again tells nobody", () => {
    const waiting: (() => void)[] = [];
    const store = new Store({ a: 1 }, (run) => waiting.push(run));
    store.set({ a: 1 });
    expect(waiting).toEqual([]);
  });
});
