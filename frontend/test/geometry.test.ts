import { describe, expect, test } from "vitest";
import { drawOrder, typicalSide } from "../src/geometry/boxes";
import { neighbour, tokenAt, tokensInBox, tokensUnderBrush } from "../src/geometry/hit";
import { polygonHolds, tokensInLasso } from "../src/geometry/lasso";
import { outlineOf } from "../src/geometry/outline";
import { maskOf, runLengthsOf } from "../src/geometry/rle";
import { grow, overlap, randomOthers, tokensOfMask } from "../src/geometry/select";
import { unionSides } from "../src/image/union";
import { Gesture } from "../src/image/gestures";
import type { Picture } from "../src/session/picture";
import { paintRaster, rasterOf } from "../src/image/raster";
import { packColour } from "../src/colour/maps";

/** A grid of tokens of 10 by 10 pixels, row by row, then one unplaced token. */
function gridOf(rows: number, columns: number): Float32Array {
  const boxes: number[] = [];
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) boxes.push(10 * c, 10 * r, 10 * c + 10, 10 * r + 10);
  }
  return new Float32Array([...boxes, NaN, NaN, NaN, NaN]);
}

const boxes = gridOf(3, 4);
const order = drawOrder(boxes, () => true);

describe("hits", () => {
  test("unplaced tokens are not drawn", () => expect(order).toEqual([...Array(12).keys()]));

  test.each([
    [0, 0, 0],
    [9.99, 9.99, 0],
    [10, 9.99, 1],
    [39, 29, 11],
    [40, 5, null],
    [-1, 5, null],
  ])("(%d, %d) is token %s", (x, y, token) => expect(tokenAt(boxes, order, { x, y })).toBe(token));

  test("a small token lies above a large one", () => {
    const both = new Float32Array([10, 10, 20, 20, 0, 0, 40, 40]);
    const drawn = drawOrder(both, () => true);
    expect(drawn).toEqual([1, 0]);
    expect(tokenAt(both, drawn, { x: 15, y: 15 })).toBe(0);
    expect(tokenAt(both, drawn, { x: 30, y: 15 })).toBe(1);
  });

  test("a box takes the centres it holds, drawn in any direction", () => {
    const [a, b] = [{ x: 14, y: 4 }, { x: 26, y: 16 }];
    expect(tokensInBox(boxes, order, a, b)).toEqual([1, 2, 5, 6]);
    expect(tokensInBox(boxes, order, b, a)).toEqual([1, 2, 5, 6]);
    expect(tokensInBox(boxes, order, a, a)).toEqual([]);
  });

  test("a fast brush leaves no gaps", () => {
    expect(tokensUnderBrush(boxes, order, { x: 1, y: 5 }, { x: 39, y: 5 }, 0)).toEqual([0, 1, 2, 3]);
    expect(tokensUnderBrush(boxes, order, { x: 5, y: 5 }, { x: 5, y: 5 }, 6)).toEqual([0, 1, 4, 5]);
  });

  test("arrow keys go to the neighbour, and stop at the edge", () => {
    expect(neighbour(boxes, order, 5, "right")).toBe(6);
    expect(neighbour(boxes, order, 5, "left")).toBe(4);
    expect(neighbour(boxes, order, 5, "up")).toBe(1);
    expect(neighbour(boxes, order, 5, "down")).toBe(9);
    expect(neighbour(boxes, order, 3, "right")).toBeNull();
    expect(neighbour(boxes, order, 12, "right")).toBeNull();
  });

  test("most tokens' side", () => expect(typicalSide(boxes)).toBe(10));
});

describe("lasso", () => {
  const triangle = [{ x: 0, y: 0 }, { x: 40, y: 0 }, { x: 0, y: 40 }];

  test("holds what is inside", () => {
    expect(polygonHolds(triangle, { x: 5, y: 5 })).toBe(true);
    expect(polygonHolds(triangle, { x: 35, y: 35 })).toBe(false);
  });

  test("a dent is outside", () => {
    const u = [[0, 0], [30, 0], [30, 30], [20, 30], [20, 10], [10, 10], [10, 30], [0, 30]].map(([x, y]) => ({ x, y }) as { x: number; y: number });
    expect(tokensInLasso(boxes, order, u)).toEqual([0, 1, 2, 4, 6, 8, 10]);
  });

  test("two points hold nothing", () => expect(tokensInLasso(boxes, order, triangle.slice(1))).toEqual([]));
});

describe("masks", () => {
  const mask = new Uint8Array([0, 1, 1, 0, 1, 0]);

  test("run lengths go column by column and start with what is not mask", () => {
    expect(maskOf({ size: [2, 3], counts: [2, 3, 1] })).toEqual(mask);
    expect(runLengthsOf(mask, 2, 3)).toEqual({ size: [2, 3], counts: [2, 3, 1] });
    expect(runLengthsOf(new Uint8Array([1, 0]), 1, 2).counts).toEqual([0, 1, 1]);
  });

  test("runs of another size are refused", () => {
    expect(() => maskOf({ size: [2, 3], counts: [2, 3] })).toThrow("6 pixels");
  });

  test("a square's outline is its four sides", () => {
    const square = new Uint8Array(16);
    for (const i of [5, 6, 9, 10]) square[i] = 1;
    const lines = outlineOf(square, 4, 4).map(([a, b]) => [a.x, a.y, b.x, b.y]);
    expect(lines).toHaveLength(4);
    expect(lines).toEqual(expect.arrayContaining([[1, 1, 3, 1], [1, 3, 3, 3], [1, 1, 1, 3], [3, 1, 3, 3]]));
  });

  test("a mask's tokens, the mask being of another size", () => {
    const small = new Uint8Array(12);
    small[5] = 1;
    expect(tokensOfMask(boxes, small, [3, 4], { width: 40, height: 30 })).toEqual([5]);
  });
});

describe("sets", () => {
  test("a ring around a token", () => {
    expect([...grow(boxes, new Set([5]))].sort((a, b) => a - b)).toEqual([0, 1, 2, 4, 5, 6, 8, 9, 10]);
    expect(grow(boxes, new Set()).size).toBe(0);
  });

  test("random others are outside, distinct, as many, and the same again", () => {
    const found = randomOthers(20, new Set([1, 2, 3]), 10, 7);
    expect(new Set(found).size).toBe(10);
    expect(found.some((token) => [1, 2, 3].includes(token))).toBe(false);
    expect(randomOthers(20, new Set([1, 2, 3]), 10, 7)).toEqual(found);
    expect(randomOthers(20, new Set([1, 2, 3]), 10, 8)).not.toEqual(found);
    expect(randomOthers(4, new Set([0]), 9, 1)).toEqual([1, 2, 3]);
  });

  test("intersection over union", () => {
    expect(overlap(new Set([1, 2, 3]), new Set([2, 3, 4]))).toBe(0.5);
    expect(overlap(new Set(), new Set())).toBeNull();
  });

  test("a set's outline leaves out the sides that two of its tokens share", () => {
    expect(unionSides(boxes, [0])).toHaveLength(4);
    expect(unionSides(boxes, [0, 1])).toHaveLength(6);
    expect(unionSides(boxes, [12])).toHaveLength(0);
  });
});

describe("gestures", () => {
  const picture = { boxes } as unknown as Picture;
  const gesture = (tool: "click" | "box" | "brush", before: number[], x: number, y: number, how: "toggle" | "replace" | "add" | "remove") =>
    new Gesture(tool, picture, order, new Set(before), 2, { x, y }, how);
  const sorted = (set: Iterable<number>) => [...set].sort((a, b) => a - b);

  test("a click toggles", () => {
    expect(sorted(gesture("click", [], 5, 5, "toggle").selection())).toEqual([0]);
    expect(sorted(gesture("click", [0, 1], 5, 5, "toggle").selection())).toEqual([1]);
  });

  test("a stroke that begins on a selected token takes away", () => {
    const stroke = gesture("brush", [0, 1, 2, 3], 5, 5, "toggle");
    stroke.move({ x: 25, y: 5 });
    expect(sorted(stroke.selection())).toEqual([3]);
  });

  test("a box replaces, adds or removes", () => {
    const made = (["replace", "add", "remove"] as const).map((how) => {
      const box = gesture("box", [0, 11], 1, 1, how);
      box.move({ x: 19, y: 9 });
      return sorted(box.selection());
    });
    expect(made).toEqual([[0, 1], [0, 1, 11], [11]]);
  });
});

describe("raster", () => {
  test("each pixel is its token's colour, and none where there is no number", () => {
    const raster = rasterOf(boxes, order, { width: 40, height: 30 }, 8, 6);
    const colours = new Uint32Array(13).fill(packColour(10, 20, 30));
    colours[1] = 0;
    const pixels = new Uint32Array(48);
    paintRaster(raster, colours, 1, pixels);
    expect(pixels[0]).toBe(packColour(10, 20, 30));
    expect(pixels[2]).toBe(0);
    expect(pixels[47]).toBe(packColour(10, 20, 30));
  });
});
