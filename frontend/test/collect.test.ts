import { describe, expect, it } from "vitest";
import { Clock } from "../src/collect/clock";
import { tenth } from "../src/collect/window";
import { timed } from "../src/collect/words";

describe("words that are typed", () => {
  const typed = (letters: string, step = 1) => {
    let words = timed([], "", 0);
    for (let n = 1; n <= letters.length; n += 1) words = timed(words, letters.slice(0, n), n * step);
    return words;
  };

  it("have the times of their first and last letter", () => {
    expect(typed("a red cup")).toEqual([
      { text: "a", start: 1, end: 1 },
      { text: "red", start: 3, end: 5 },
      { text: "cup", start: 7, end: 9 },
    ]);
  });

  it("keep their times when a word before them is mended", () => {
    const before = typed("a rad cup");
    const after = timed(before, "a red cup", 20);
    expect(after).toEqual([before[0], { text: "red", start: 3, end: 20 }, before[2]]);
  });

  it("are new where one is put between others", () => {
    const before = typed("a cup");
    expect(timed(before, "a red cup", 9)).toEqual([
      before[0],
      { text: "red", start: 9, end: 9 },
      before[1],
    ]);
  });

  it("go when they are deleted", () => {
    const before = typed("a red cup");
    expect(timed(before, "a cup", 30)).toEqual([before[0], before[2]]);
    expect(timed(before, "  \n ", 30)).toEqual([]);
  });
});

describe("the clock", () => {
  it("remembers its pauses", () => {
    let now = 1000;
    const clock = new Clock(() => now);
    now = 2500;
    expect(clock.seconds).toBe(1.5);
    clock.pause();
    clock.pause();
    now = 4000;
    clock.resume();
    clock.resume();
    expect(clock.pauses).toEqual([[1.5, 3]]);
    expect(clock.paused).toBe(false);
  });
});

describe("a position", () => {
  it("is rounded to a tenth of a pixel and stays inside the image", () => {
    expect(tenth(12.34, 112)).toBe(12.3);
    expect(tenth(0, 112)).toBe(0);
    expect(tenth(111.958, 112)).toBe(111.9);
    for (const side of [1, 7, 112, 640]) {
      expect(tenth(side - 1e-9, side)).toBeLessThan(side);
    }
  });
});
