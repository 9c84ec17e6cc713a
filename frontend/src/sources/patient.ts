/** What a server says when it cannot answer now, but can later. */
const LATER = new Set([429, 503]);

const LONGEST_MS = 10_000;

const waited = (ms: number, signal?: AbortSignal | null): Promise<void> =>
  new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });

/** Milliseconds before the next try: as the server asks, longer each time, not all pages at once. */
export function pause(tries: number, retryAfter: string | null, random = Math.random()): number {
  const asked = Number(retryAfter ?? "") * 1000 || 500;
  return Math.min(LONGEST_MS, asked * 1.5 ** tries) * (0.5 + random / 2);
}

/** `fetch` that asks again for as long as the server says "later"; every other answer is the caller's. */
export async function patientFetch(
  path: string,
  init: RequestInit = {},
  wait: typeof waited = waited,
): Promise<Response> {
  for (let tries = 0; ; tries++) {
    const reply = await fetch(path, init);
    if (!LATER.has(reply.status)) return reply;
    await reply.body?.cancel();
    await wait(pause(tries, reply.headers.get("Retry-After")), init.signal);
  }
}

/** Lets an image that did not arrive be asked for again, a few times. */
export function patientImage(image: HTMLImageElement, most = 6): HTMLImageElement {
  let [src, tries] = ["", 0];
  image.addEventListener("error", () => {
    const failed = image.getAttribute("src") ?? "";
    if (failed !== src) [src, tries] = [failed, 0];
    if (failed === "" || failed.startsWith("data:") || tries >= most) return;
    setTimeout(() => {
      if (image.getAttribute("src") === failed) image.src = failed;
    }, pause(tries++, null));
  });
  return image;
}
