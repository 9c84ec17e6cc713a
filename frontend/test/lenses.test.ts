import { describe, expect, test } from "vitest";
import { pack } from "../src/arrays";
import type { LensDocument } from "../src/documents";
import { pressed } from "../src/image/follow";
import { Readouts } from "../src/session/readouts";
import type { Session } from "../src/session/session";
import type { Job, Live } from "../src/sources/source";
import { START, type State } from "../src/state/state";

const LAYERS: Record<string, number[]> = { logit: [0, 1, 2, 3, 4], odd: [1, 3], late: [3, 4], apart: [9], "odd-2": [1, 3] };

const documentOf = (kind: string): LensDocument => {
  const layers = LAYERS[kind] as number[];
  const ids = new Int32Array(2 * layers.length).fill(kind === "odd" ? 1 : 0);
  const values = new Float32Array(2 * layers.length).fill(0.5);
  const shape = [layers.length, 2, 1];
  return { kind: kind.replace("-2", ""), unit: "probability", layers, n: 2, k: 1, words: ["a", "b"], ids: pack(ids, shape), values: pack(values, shape), positions: [0, 1], contexts: null, note: "" };
};

/** A page with a model whose lenses answer when they are told to. */
function page(): { readouts: Readouts; jobs: Map<string, Job>; answer(kind: string): Promise<void> } {
  const jobs = new Map<string, Job>();
  const answers = new Map<string, (found: LensDocument) => void>();
  const lens: Live["lens"] = (_, kind, job) => {
    jobs.set(kind, job);
    return new Promise((resolve) => answers.set(kind, resolve));
  };
  const lenses = [...Object.keys(LAYERS).map((name) => ({ name, ok: true, why: "", command: "" })), { name: "tuned", ok: false, why: "w", command: "c" }];
  const session = {
    manifest: { lenses, model: null },
    run: "run",
    asking: { busy: false },
    blocks: 4,
    sample: { has: { lens: true, attention: true } },
    picture: { n: 2, tokens: () => [0, 1] },
    source: { mode: "live", live: { lens } },
    store: { touch: () => {} },
    state: START,
  } as unknown as Session;
  const readouts = new Readouts(session);
  (session as { readouts: Readouts }).readouts = readouts;
  const answer = async (kind: string) => {
    answers.get(kind)?.(documentOf(kind));
    await new Promise((resolve) => setTimeout(resolve));
  };
  return { readouts, jobs, answer };
}

const at = (more: Partial<State>): State => ({ ...START, view: "lens", colouring: "top", ...more });

describe("kinds of lens", () => {
  test("the layers are those that the lens read, or both", async () => {
    const { readouts, answer } = page();
    const state = at({ lens: "odd", versus: "logit", layer: 2 });
    readouts.need(state);
    expect(readouts.layers(state)).toEqual([0, 1, 2, 3, 4]);
    await answer("odd");
    await answer("logit");
    expect(readouts.layers(state)).toEqual([1, 3]);
    expect([1, 3]).toContain(readouts.layer(state));
    expect(readouts.layer(at({ lens: "odd", layer: 4 }))).toBe(3);
    expect(readouts.layer(at({ lens: "odd", layer: -1 }))).toBe(3);
    const three = { ...state, layer: 3 };
    expect([readouts.row(three), readouts.row(three, "other")]).toEqual([1, 3]);
    expect(readouts.agreement(three)).toEqual({ same: 0, of: 2, differ: new Set([0, 1]) });
  });

  test("lenses without a common layer keep the first one's layers, and agree nowhere", async () => {
    const { readouts, answer } = page();
    const state = at({ lens: "odd", versus: "apart", layer: 1 });
    readouts.need(state);
    await answer("odd");
    await answer("apart");
    expect(readouts.layers(state)).toEqual([1, 3]);
    expect(readouts.row(state, "other")).toBe(-1);
    expect(readouts.tokenColours(state, "other")).toBeNull();
    expect(readouts.agreement(state)).toBeNull();
  });

  test("the second of one kind keeps its own name", async () => {
    const { readouts, answer } = page();
    const state = at({ lens: "odd", versus: "odd-2" });
    readouts.need(state);
    await answer("odd");
    await answer("odd-2");
    expect((["chosen", "other"] as const).map((side) => readouts.on(side, state)?.lens?.kind)).toEqual(["odd", "odd-2"]);
  });

  test("what is not wanted any more is stopped, and asked for again when it is", async () => {
    const { readouts, jobs, answer } = page();
    readouts.need(at({ lens: "late" }));
    const first = jobs.get("late");
    first?.progress(1, 2);
    expect(readouts.on("chosen", at({ lens: "late" }))?.progress).toEqual({ done: 1, total: 2 });
    readouts.need(at({ lens: "odd" }));
    expect(first?.signal.aborted).toBe(true);
    readouts.need(at({ lens: "late" }));
    expect(jobs.get("late")).not.toBe(first);
    await answer("late");
    expect(readouts.on("chosen", at({ lens: "late" }))?.lens?.layers).toEqual([3, 4]);
  });

  test("an unknown or unfitted kind in the address is the first kind; none is compared with itself", () => {
    const { readouts } = page();
    expect(["nope", "tuned", "", "odd"].map((lens) => readouts.kind(at({ lens })))).toEqual(["logit", "logit", "logit", "odd"]);
    expect(readouts.versus(at({ versus: "logit" }))).toBeNull();
    expect(readouts.versus(at({ versus: "tuned" }))).toBeNull();
    expect(readouts.versus(at({ versus: "odd" }))).toBe("odd");
    expect(readouts.versus(at({ versus: "odd", view: "answer" }))).toBeNull();
  });
});

describe("a pressed token", () => {
  const tokens = new Set([1, 2]);

  test.each<[string, Partial<State>, number, number[], number | null]>([
    ["is selected and followed in the lens view", {}, 3, [1, 2, 3], 3],
    ["stays selected when it is followed", {}, 1, [1, 2], 1],
    ["is released with what follows it", { follow: 1 }, 1, [2], null],
    ["is only selected elsewhere", { view: "answer" }, 3, [1, 2, 3], null],
    ["is only released elsewhere", { view: "answer", follow: 2 }, 1, [2], 2],
  ])("%s", (_, more, token, selected, follow) => {
    expect(pressed(at({ tokens, ...more }), token)).toEqual({ tokens: new Set(selected), follow });
  });
});
