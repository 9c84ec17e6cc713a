import { describe, expect, test } from "vitest";
import { floats, ints, pack } from "../src/arrays";
import { blueOrange, cividis, colourOf, inkOn, unpackColour, viridis } from "../src/colour/maps";
import { OBJECT_HUES, classColour } from "../src/colour/classes";
import { layerColours, rankScale, upToMost } from "../src/colour/quantity";
import type { AttentionDocument, LensDocument } from "../src/documents";
import { Attention } from "../src/session/attention";
import { Categories } from "../src/session/categories";
import { Lens, agreement, wordMap } from "../src/session/lens";
import type { Session } from "../src/session/session";
import { valueOf } from "../src/words";
import { START, type State } from "../src/state/state";

test("arrays come back, and a wrong length is refused", () => {
  const packed = pack(new Float32Array([1.5, NaN, -3]), [3]);
  expect([...floats(packed).values]).toEqual([1.5, NaN, -3]);
  expect([...ints(pack(new Int32Array([1, -2]), [2])).values]).toEqual([1, -2]);
  expect(() => floats({ ...packed, shape: [4] })).toThrow("16 bytes");
  expect(() => ints(packed)).toThrow("f4");
});

/** Two layers, two visual tokens and one text token, the best two of four words. */
const DOCUMENT: LensDocument = {
  kind: "logit",
  unit: "probability",
  layers: [0, 1],
  n: 3,
  k: 2,
  words: [" dog", "Dog", " cat", "."],
  ids: pack(new Int32Array([0, 1, 2, 3, 0, 3, 2, 0, 3, 2, 3, 0]), [2, 3, 2]),
  values: pack(new Float32Array([0.5, 0.25, 0.6, 0.1, 0.9, 0.1, 0.7, 0.2, 0.4, 0.3, 0.8, 0.1]), [2, 3, 2]),
  positions: [3, 4, 0],
  contexts: null,
  note: "",
};

describe("lens", () => {
  const lens = new Lens(DOCUMENT, 2);

  test("the best words of a token", () => {
    expect(lens.top(0, 0).map(({ word }) => word)).toEqual([" dog", "Dog"]);
    expect(lens.firstWord(1, 1)).toBe(".");
    expect(lens.top(1, 0)[1]?.value).toBeCloseTo(0.2);
  });

  test("a word's pieces count together; elsewhere it is unknown, not zero", () => {
    const { values, rank, found } = lens.within("dog");
    expect(found).toBe(true);
    expect([...values].map((p) => Number(p.toFixed(3)))).toEqual([0.75, NaN, 0.2, NaN]);
    expect([...rank]).toEqual([0, -1, 1, -1]);
    expect(lens.within("horse").found).toBe(false);
  });

  test("a word's map says that it knows only the best words", () => {
    expect(wordMap(lens, "dog", null, 92).within).toBe(2);
    const document = {
      word: "dog",
      values: pack(new Float32Array([1, 2, 9, 3, 4, 9]), [2, 3]),
      rank: pack(new Int32Array([1, 2, 9, 3, 4, 9]), [2, 3]),
    };
    const map = wordMap(lens, "dog", document, 92);
    expect(map.within).toBeNull();
    expect([...map.value.values]).toEqual([1, 2, 3, 4]);
    expect([...map.rank.values]).toEqual([1, 2, 3, 4]);
  });

  test("similarities: of a word's pieces the largest counts, and colours span what there is", () => {
    const near = new Lens({ ...DOCUMENT, kind: "embedding", unit: "similarity" }, 2);
    expect([...near.within("dog").values].map((v) => Number(v.toFixed(3)))).toEqual([0.5, NaN, 0.2, NaN]);
    const top = near.topQuantity();
    expect(top.name).toBe("top-1 cosine similarity, embedding lens");
    expect([top.scale.low, top.scale.high]).toEqual(["0.40", "0.70"]);
    expect([top.scale.at(top.values[0] as number), top.scale.at(0.7)].map((v) => Number(v.toFixed(2)))).toEqual([0.33, 1]);
    expect(lens.topQuantity().scale.high).toBe("1");
    expect([valueOf(0.5, "probability"), valueOf(0.5, "similarity"), valueOf(-0.5, "similarity")]).toEqual(["50%", "0.50", "\u22120.50"]);
  });

  test("two lenses agree where their first words are the same but for case and spaces", () => {
    const other = new Lens({ ...DOCUMENT, layers: [1, 3], words: ["dog", "x", "Cat ", "!"] }, 2);
    expect(agreement(lens, other, 1, [0, 1])).toEqual({ same: 0, of: 2, differ: new Set([0, 1]) });
    expect(agreement(other, other, 3, [0, 1])).toEqual({ same: 2, of: 2, differ: new Set() });
    expect(agreement(lens, other, 0, [0, 1])).toBeNull();
    const same = new Lens({ ...DOCUMENT, words: ["DOG", "x", "cat", "!"] }, 2);
    expect(agreement(lens, same, 1, [0, 1])).toEqual({ same: 1, of: 2, differ: new Set([1]) });
  });

  test("a word's sentence comes with the word marked in it", () => {
    const contexts = {
      sentences: ["a red car", "the dog runs"],
      places: pack(new Int32Array([1, 4, 7, 3, 0, 2, 5, 8]), [2, 4]),
      ids: pack(new Int32Array([0, 1, -1, 0, 0, 0, 1, 1, 1, 1, 1, 1]), [2, 3, 2]),
    };
    const [first, second] = new Lens({ ...DOCUMENT, contexts }, 2).top(0, 0);
    expect(first?.context).toEqual({ before: "the ", word: "dog", after: " runs", layer: 3 });
    expect(second?.context).toEqual({ before: "a ", word: "red", after: " car", layer: 8 });
    expect(new Lens({ ...DOCUMENT, contexts }, 2).top(0, 1)[0]?.context).toBeNull();
    expect(lens.top(0, 0)[0]?.context).toBeNull();
  });

  test("fewer positions than visual tokens are refused", () => {
    expect(() => new Lens(DOCUMENT, 4)).toThrow("3 positions");
  });
});

describe("attention", () => {
  const document: AttentionDocument = {
    query: 9,
    token: ":",
    layers: 2,
    heads: 2,
    weights: pack(new Float32Array([0.1, 0.2, 0.3, 0.4, 0.5, 0, NaN, NaN]), [2, 2, 2]),
    rest: { first: pack(new Float32Array([0.6, 0.2, 0.5, NaN]), [2, 2]) },
    missing: [],
  };
  const attention = new Attention(document);

  test("sums over heads and over tokens", () => {
    const sum = attention.quantity(null);
    expect([...sum.values.slice(0, 2)].map((v) => Number(v.toFixed(3)))).toEqual([0.4, 0.6]);
    expect(attention.onImage(0, 1)).toBeCloseTo(0.7);
    expect(attention.byLayer(new Set([1]))[0]).toBeCloseTo(0.3);
    expect(attention.onFirst(0, 0)).toBeCloseTo(0.6);
  });

  test("heads are sorted by what they read, unreadable layers left out", () => {
    const readable = new Attention({ ...document, missing: [{ layer: 1, why: "linear" }] });
    expect(readable.sorted(new Set([0])).map(({ head }) => head)).toEqual([1, 0]);
    expect(attention.quantity(null)).toBe(attention.quantity(null));
  });
});

describe("colours", () => {
  test("none is transparent, the ends are the map's ends", () => {
    expect(colourOf(viridis, NaN)).toBe(0);
    expect(unpackColour(colourOf(viridis, 0)).slice(0, 3)).toEqual([68, 1, 84]);
    expect(unpackColour(colourOf(viridis, 7)).slice(0, 3)).toEqual([253, 231, 37]);
  });

  const light = (colour: number) => {
    const [r, g, b] = unpackColour(colour);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };

  test.each([["viridis", viridis], ["cividis", cividis]])("%s grows lighter, so that it needs no hue", (_, map) => {
    for (let i = 8; i < 256; i += 8) expect(light(map[i] as number)).toBeGreaterThan(light(map[i - 8] as number) - 0.5);
  });

  test("the diverging map is lightest in the middle and has a blue and an orange end", () => {
    expect(light(blueOrange[128] as number)).toBeGreaterThan(Math.max(light(blueOrange[0] as number), light(blueOrange[255] as number)));
    const [low, high] = [unpackColour(blueOrange[0] as number), unpackColour(blueOrange[255] as number)];
    expect(low[2]).toBeGreaterThan(low[0]);
    expect(high[0]).toBeGreaterThan(high[2]);
  });

  test("ink contrasts with its ground", () => {
    expect(inkOn(viridis[0] as number)).toBe("#ffffff");
    expect(inkOn(viridis[255] as number)).toBe("#101418");
  });

  test("ranks and shares", () => {
    const scale = rankScale(1000);
    expect([scale.at(0), scale.at(-1)]).toEqual([1, NaN]);
    expect(scale.at(999)).toBeCloseTo(0);
    const values = new Float32Array([0, 4, NaN, 1]);
    const quantity = { name: "", unit: "", layers: 2, n: 2, values, scale: upToMost(values) };
    expect(quantity.scale.at(4)).toBe(1);
    expect(layerColours(quantity, 1)[0]).toBe(0);
  });
});

describe("categories", () => {
  const map = {
    name: "semantic",
    note: "",
    classes: ["background", "cat", "dog"],
    layers: ["vision.1", "truth"],
    values: pack(new Int32Array([0, 1, 1, -1, 0, 2, 1, 1]), [2, 4]),
  };
  const groups = { name: "groups", note: "", classes: ["1", "2"], layers: ["k-means"], values: pack(new Int32Array([0, 1, 1, 0]), [1, 4]) };
  const categories = new Categories({ sample: { categories: [map, groups] } } as unknown as Session);
  const at = (more: Partial<State>): State => ({ ...START, colouring: "category", ...more });

  test("the last layer that is no truth is shown, and counted", () => {
    expect(categories.layer(at({}))).toBe(0);
    expect(categories.counts(at({})).map(({ name, count }) => [name, count])).toEqual([["cat", 2], ["background", 1]]);
    expect(categories.counts(at({ mapLayer: 1 })).map(({ name }) => name)).toEqual(["cat", "background", "dog"]);
    expect(categories.name(at({}), 3)).toBeNull();
    expect(categories.name(at({ mapLayer: 9 }), 1)).toBe("dog");
  });

  test("background and none stay clear, a class has one colour in all layers", () => {
    const [first, last] = [categories.colours(at({}))!.slice(), categories.colours(at({ mapLayer: 1 }))!];
    expect([first[0], first[3], last[0]]).toEqual([0, 0, 0]);
    expect(first[1]).toBe(last[2]);
    expect(last[1]).not.toBe(last[2]);
    expect(categories.colours({ ...at({}), colouring: "none" })).toBeNull();
    expect(categories.colours(at({ map: 1 }))![0]).not.toBe(0);
    expect(categories.map(at({ map: 7 }))?.name).toBe("semantic");
  });

  test("an image without maps has none", () => {
    const none = new Categories({ sample: {} } as unknown as Session);
    expect(none.map(at({}))).toBeNull();
    expect(none.colours(at({}))).toBeNull();
    expect(none.counts(at({}))).toEqual([]);
  });

  test("many classes have different colours", () => {
    const many = 60;
    expect(new Set(Array.from({ length: many }, (_, i) => classColour(i, many))).size).toBe(many);
    expect(new Set(Array.from({ length: OBJECT_HUES }, (_, i) => classColour(i, OBJECT_HUES))).size).toBe(OBJECT_HUES);
  });
});
