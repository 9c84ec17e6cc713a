import { afterEach, describe, expect, test, vi } from "vitest";
import { patientFetch, pause } from "../src/sources/patient";
import { liveSource } from "../src/sources/live";

afterEach(() => void vi.unstubAllGlobals());

/** A server that gives these answers one after the other. */
function serving(...answers: [status: number, body: unknown, retryAfter?: string][]): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (path: string) => {
    asked.push(path);
    const [status, body, retryAfter] = answers[asked.length - 1] ?? [500, {}];
    const headers: Record<string, string> = retryAfter === undefined ? {} : { "Retry-After": retryAfter };
    return new Response(JSON.stringify(body), { status, headers });
  });
  return asked;
}

describe("a server that is busy", () => {
  test("is asked again until it answers, and nothing is shown of it", async () => {
    const asked = serving([429, { error: "wait" }, "0.01"], [503, { error: "wait" }, "0.01"], [200, { ok: 1 }]);
    await expect(liveSource().live?.attention("run", -1)).resolves.toEqual({ ok: 1 });
    expect(asked).toEqual(["api/attention", "api/attention", "api/attention"]);
  });

  test("and what is no matter of waiting is shown at once", async () => {
    for (const status of [400, 404, 500, 504, 507]) {
      const asked = serving([status, { error: "in its own words" }, "1"]);
      await expect(liveSource().live?.attention("run", -1)).rejects.toThrow("in its own words");
      expect(asked).toHaveLength(1);
    }
  });

  test("is left alone longer each time, within bounds, and not by all pages at once", () => {
    expect(pause(0, "2", 1)).toBe(2000);
    expect(pause(0, "2", 0)).toBe(1000);
    expect(pause(0, null, 1)).toBe(500);
    expect(pause(0, "soon", 1)).toBe(500);
    expect(pause(2, "1", 1)).toBe(2250);
    expect(pause(50, "1", 1)).toBe(10_000);
  });

  test("is not asked again for what nobody waits for any more", async () => {
    const asked = serving([503, {}, "5"], [200, {}]);
    const gone = new AbortController();
    const reply = patientFetch("api/x", { signal: gone.signal });
    setTimeout(() => gone.abort(new Error("gone")), 20);
    await expect(reply).rejects.toThrow("gone");
    expect(asked).toHaveLength(1);
  });
});
