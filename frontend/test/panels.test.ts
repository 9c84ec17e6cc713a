import { describe, expect, test } from "vitest";
import { linesOf } from "../src/charts/label";
import { literal } from "../src/export/python";
import type { EffectDocument, SampleFacts } from "../src/documents";
import { compared } from "../src/panels/compare";
import { matching } from "../src/panels/filter";
import { recordedOf } from "../src/panels/recorded_rows";
import { cellText } from "../src/panels/table";
import { verdictOf } from "../src/panels/verdict";
import { Latest } from "../src/session/latest";
import { jsonLines } from "../src/sources/live";
import { Kept, safeSrc } from "../src/sources/source";
import { widgetSource } from "../src/sources/widget";
import { percent, targetName, visible } from "../src/words";

const samples: SampleFacts[] = [
  { index: 0, id: "s0", title: "Kitchen", thumb: null, objects: ["cup"], outcomes: { a: { baseline: true, broken: ["object", "object to last, mid"] } } },
  { index: 1, id: "s1", title: "Street", thumb: null, objects: ["car", "dog"], outcomes: { a: { baseline: false, broken: [] } } },
  { index: 2, id: "s2", title: "Street", thumb: null, objects: ["car"], outcomes: { a: { baseline: true, broken: [] }, constructor: { baseline: null, broken: [] } } },
];
const found = (search: string, filter: string) => matching(samples, search, filter).map((one) => one.index);

describe("the list of images", () => {
  test.each([
    ["", "", [0, 1, 2]],
    ["street car", "", [1, 2]],
    ["DOG", "", [1]],
    ["", "right", [0, 2]],
    ["", "wrong", [1]],
    ["", "broken", [0]],
    ["", "robust", [2]],
    ["", "broken:a", [0]],
    ["", "broken:a:object to last, mid", [0]],
    ["", "broken:a:nothing", []],
    ["", "broken:toString", []],
  ])("'%s', %s", (search, filter, expected) => expect(found(search, filter)).toEqual(expected));
});

test("two runs side by side are matched by what their rows are about", () => {
  const columns = [
    { name: "task", kind: "text" as const, unit: "", condition: true },
    { name: "n", kind: "int" as const, unit: "", condition: false },
    { name: "decrease", kind: "estimate" as const, unit: "share", condition: false },
  ];
  const first = { columns, rows: [["yes/no", 6, [0.5, 0.4, 0.6]], ["caption", 6, [0.2, 0.1, 0.3]]] };
  const second = { columns, rows: [["caption", 9, [0.1, 0, 0.2]]] };
  const both = compared(first, second, ["x", "y"]);
  expect(both.columns.map((one) => one.name)).toEqual(["task", "decrease, x", "decrease, y", "decrease, difference"]);
  expect(both.rows[0]).toEqual(["yes/no", [0.5, 0.4, 0.6], null, null]);
  expect(both.rows[1]?.[3]).toBeCloseTo(0.1);
});

test("cells", () => {
  const column = (kind: "estimate" | "float" | "text") => ({ name: "", kind, unit: "", condition: false });
  expect(cellText([0.5, 0.25, null], column("estimate"))).toBe("0.50 (0.25–\u2013)");
  expect(cellText(0.0123, column("float"))).toBe("0.012");
  expect(cellText(null, column("text"))).toBe("");
});

test("recorded rows: by question and object, sliding windows before named ones", () => {
  const row = (more: object) => ({ study: "k", condition: "c", question: "q", object: "dog", ...more });
  const rows = [
    row({ condition: "none" }),
    row({ condition: "object" }),
    row({ source: "object", target: "last", window: "mid", first_layer: 1 }),
    row({ token_set: "object", target: "last", window: "sliding", first_layer: 0 }),
    row({ object: "cat", condition: "object" }),
  ];
  const recorded = recordedOf(rows);
  expect(recorded.questions).toEqual(["q"]);
  expect(recorded.objects("q")).toEqual(["dog", "cat"]);
  const own = recorded.of("q", "dog");
  expect(own.edits).toHaveLength(1);
  expect(own.sliding("last").map((one) => one["window" as never])).toEqual(["sliding"]);
});

test("recorded rows: one study and one set of rules at a time, without empty sets", () => {
  const row = (study: string, mode: string, n = 5) => ({ study, mode, condition: "object", question: "q", object: "dog", n_tokens: n });
  const rows = [row("a", "paper"), row("a", "corrected"), row("a", "corrected", 0), row("b", "corrected")];
  const cut = (study: string) => ({ study, question: "q", object: "dog", source: "object", target: "last", window: "mid", first_layer: 1 });
  const recorded = recordedOf([...rows, cut("k"), cut("l")]);
  const own = recorded.of("q", "dog");
  expect(own.records).toEqual(["a, paper", "a, corrected", "b, corrected"]);
  expect([own.record, own.edits]).toEqual(["a, corrected", [rows[1]]]);
  expect(recorded.of("q", "dog", "b, corrected").edits).toEqual([rows[3]]);
  expect(recorded.of("q", "dog", "of another image").record).toBe("a, corrected");
  expect(own.windows.map((one) => one["study"])).toEqual(["k"]);
});

test("a verdict says what changed, and what the control did", () => {
  const answer = (id: number, word: string, prob: number, ...more: number[]) => ({
    text: word,
    candidates: [{ word, id, prob }, ...more.map((other) => ({ word: `w${other}`, id: other, prob: 0.1 }))],
    chosen: { word, id, prob },
    ms: 1,
    path: "incremental",
  });
  const effect = (after: ReturnType<typeof answer>) =>
    ({ before: answer(1, " dog", 0.93), after }) as unknown as EffectDocument;
  const changed = verdictOf(effect(answer(2, " cat", 0.6, 1)), effect(answer(1, " dog", 0.9)), null);
  expect(changed.changed).toBe(true);
  expect(changed.text).toBe('The answer changes from "dog" to "cat": "dog" goes from 93% to 10%. As many random tokens: still "dog", 90%.');
  expect(verdictOf(effect(answer(2, " cat", 0.6)), null, null).text).toContain("below 60%");
  expect(verdictOf(effect(answer(1, " dog", 0.8)), null, null).changed).toBe(false);
  const texts = { before: "a dog and a cat.", after: "a cat." };
  const later = verdictOf(effect(answer(1, " dog", 0.8)), null, texts);
  expect(later).toEqual({ changed: true, text: 'The answer changes from "a dog and a cat." to "a cat.".' });
});

describe("sources", () => {
  test.each([
    ["images/0.jpg", true],
    ["api/images/im-3.png", true],
    ["data:image/png;base64,AAAA", true],
    ["data:image/svg+xml;base64,AAAA", false],
    ["data:text/html,x", false],
    ["http://example.org/x.png", false],
    ["//example.org/x.png", false],
    ["/etc/passwd", false],
    ["../../secret.png", false],
    ["javascript:alert(1)", false],
    ["file:///etc/passwd", false],
  ])("%s: %s", (src, safe) => expect(safeSrc(src)).toBe(safe ? src : null));

  test("a document is asked for once, and again after a failure", async () => {
    let calls = 0;
    const kept = new Kept(async () => {
      calls += 1;
      if (calls === 1) throw new Error("no");
      return calls;
    });
    await expect(kept.get("x")).rejects.toThrow("no");
    await Promise.resolve();
    expect(await Promise.all([kept.get("x"), kept.get("x")])).toEqual([2, 2]);
  });

  test("lines of JSON that arrive in pieces", async () => {
    const bytes = new TextEncoder().encode('{"a":"é"}\n{"b":2}\n\n{"c":3}');
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
        controller.close();
      },
    });
    const lines: unknown[] = [];
    for await (const line of jsonLines(stream)) lines.push(line);
    expect(lines).toEqual([{ a: "é" }, { b: 2 }, { c: 3 }]);
  });

  test("a widget's calls get their own replies", async () => {
    let tell: (message: unknown) => void = () => {};
    const sent: { id: number; path: string }[] = [];
    const source = widgetSource({
      get: (name) => (name === "run" ? "run-1" : { manifest: { title: "x" } }),
      send: (message) => sent.push(message as { id: number; path: string }),
      on: (_, listener) => (tell = listener),
    });
    const [first, second] = [source.live?.word("run-1", "logit", "dog"), source.live?.lens("run-1", "logit", { signal: new AbortController().signal, progress: () => {} })];
    expect(sent.map((one) => one.path)).toEqual(["/api/word", "/api/lens"]);
    tell({ kind: "reply", id: sent[1]?.id, ok: true, body: "lens" });
    tell({ kind: "reply", id: sent[0]?.id, ok: false, body: { error: "no such word" } });
    await expect(second).resolves.toBe("lens");
    await expect(first).rejects.toThrow("no such word");
    await expect(source.document("manifest")).resolves.toEqual({ title: "x" });
    await expect(source.document("toString")).rejects.toThrow("no toString");
  });
});

test("of jobs that come while one runs, only the last is run", async () => {
  const ran: number[] = [];
  const gates: (() => void)[] = [];
  const latest = new Latest();
  const job = (n: number) => () =>
    new Promise<void>((resolve) => {
      ran.push(n);
      gates.push(resolve);
    });
  for (const n of [1, 2, 3]) latest.run(job(n));
  gates[0]?.();
  await new Promise((resolve) => setTimeout(resolve));
  expect(ran).toEqual([1, 3]);
});

test("text for people and for Python", () => {
  expect([0, 0.0004, 0.0123, 0.5, 0.9995, 1, NaN].map(percent)).toEqual(["0.0%", "<0.1%", "1.2%", "50%", ">99.9%", "100%", "–"]);
  expect(visible(" a\n")).toBe("·a↵");
  expect(literal('a"b\\ é\u2028')).toBe('"a\\"b\\\\ \\u00e9\\u2028"');
});

test("a row's name is put on two lines before it is cut", () => {
  expect(linesOf("object", 10)).toEqual(["object"]);
  expect(linesOf("as many random tokens as object + 1 ring", 23)).toEqual(["as many random tokens", "as object + 1 ring"]);
  expect(linesOf("as many random tokens as object + 1 ring", 15)).toEqual(["as many random…", "as object + 1 …"]);
  expect(linesOf("scene-0-000000", 8)).toEqual(["scene-0…"]);
});

test("a target that has no words keeps its name", () => {
  expect([targetName("last-row"), targetName("other")]).toEqual(["the last visual row", "other"]);
});
