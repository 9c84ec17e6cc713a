import type { AnswerDocument, AskReply, LensDocument, SweepDocument } from "../documents";
import { patientFetch } from "./patient";
import { type Job, Kept, type Live, type Source } from "./source";

/** A server's refusal, in its own words where it gave any. */
async function refusal(reply: Response): Promise<Error> {
  try {
    const { error } = (await reply.json()) as { error?: unknown };
    if (typeof error === "string") return new Error(error);
  } catch {
    // No JSON: the status says what there is to say.
  }
  return new Error(`the server answered ${reply.status} ${reply.statusText}`.trim());
}

async function reach(path: string, init?: RequestInit): Promise<Response> {
  let reply: Response;
  try {
    reply = await patientFetch(path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (init?.signal?.aborted) throw error;
    throw new Error("the server does not answer: is it still running?");
  }
  if (!reply.ok) throw await refusal(reply);
  return reply;
}

async function post<T>(path: string, body: unknown): Promise<T> {
  const reply = await reach(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return (await reply.json()) as T;
}

/** Lines of JSON as they arrive, however the bytes are cut. */
export async function* jsonLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += decoder.decode(value, { stream: !done });
    const lines = rest.split("\n");
    rest = done ? "" : (lines.pop() as string);
    for (const line of lines) if (line.trim() !== "") yield JSON.parse(line);
    if (done) return;
  }
}

type Line<T> = {
  done?: number;
  total?: number;
  result?: T;
  error?: string;
};

/** A computation that the server does step by step; null if it was cancelled. */
async function stream<T>(path: string, body: unknown, job: Job): Promise<T | null> {
  try {
    return await streamed<T>(path, body, job);
  } catch (error) {
    // The server notices that its reply is not read any more, and stops.
    if (job.signal.aborted) return null;
    throw error;
  }
}

async function streamed<T>(path: string, body: unknown, job: Job): Promise<T> {
  const reply = await reach(path, {
    signal: job.signal,
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!reply.body) throw new Error("the server sent nothing");
  for await (const line of jsonLines(reply.body) as AsyncGenerator<Line<T>>) {
    if (line.error !== undefined) throw new Error(line.error);
    if (line.result) return line.result;
    if (line.total !== undefined) job.progress(line.done ?? 0, line.total);
  }
  throw new Error("the server stopped before it was done");
}

const live: Live = {
  asks: true,
  async upload(image) {
    const reply = await reach("api/images", {
      method: "POST",
      headers: { "Content-Type": image.type || "application/octet-stream" },
      body: image,
    });
    return ((await reply.json()) as { image: string }).image;
  },
  imageSrc: (image) => `api/images/${encodeURIComponent(image)}.png`,
  ask: (image, question) => post<AskReply>("api/ask", { image, question }),
  generate: (run, edits) => post<AnswerDocument>("api/generate", { run, edits }),
  lens: (run, kind, job) => stream<LensDocument>("api/lens", { run, kind, top_k: 5 }, job),
  word: (run, kind, word) => post("api/word", { run, kind, word }),
  attention: (run, query) => post("api/attention", { run, query }),
  effect: (run, edits) => post("api/effect", { run, edits }),
  sweep: (run, ask, job) => stream<SweepDocument>("api/sweep", { run, ...ask }, job),
};

export function liveSource(): Source {
  const kept = new Kept(async (key) => {
    const path = key === "manifest" ? "api/manifest" : `api/data/${encodeURIComponent(key)}`;
    return (await reach(path)).json();
  });
  return { mode: "live", live, document: (key) => kept.get(key) };
}
