import type { SweepDocument } from "../documents";
import type { Live, Source } from "./source";

/** What the page uses of an anywidget model. */
export interface WidgetModel {
  get(name: string): unknown;
  send(message: unknown): void;
  on(event: "msg:custom", listener: (message: unknown) => void): void;
  off?(event: "msg:custom", listener: (message: unknown) => void): void;
}

type Reply = { kind?: unknown; id?: unknown; ok?: unknown; body?: unknown };

/** Documents in the model's traits, and calls to Python as messages. */
export function widgetSource(model: WidgetModel): Source & { close(): void } {
  const waiting = new Map<number, [(body: unknown) => void, (error: Error) => void]>();
  let last = 0;
  const listen = (message: unknown) => {
    const reply = message as Reply;
    if (reply.kind !== "reply" || typeof reply.id !== "number") return;
    const [resolve, reject] = waiting.get(reply.id) ?? [];
    waiting.delete(reply.id);
    if (reply.ok) resolve?.(reply.body);
    else {
      const error = (reply.body as { error?: unknown } | null)?.error;
      reject?.(new Error(typeof error === "string" ? error : "Python refused the call"));
    }
  };
  model.on("msg:custom", listen);
  const call = <T>(path: string, body: unknown) =>
    new Promise<T>((resolve, reject) => {
      const id = ++last;
      waiting.set(id, [resolve as (body: unknown) => void, reject]);
      model.send({ kind: "call", id, path, body });
    });
  const refuse = () => Promise.reject(new Error("new images and questions are asked in Python"));
  const live: Live = {
    asks: false,
    upload: refuse,
    imageSrc: () => "",
    ask: refuse,
    generate: (run, edits) => call("/api/generate", { run, edits }),
    lens: (run, kind) => call("/api/lens", { run, kind, top_k: 5 }),
    word: (run, kind, word) => call("/api/word", { run, kind, word }),
    attention: (run, query) => call("/api/attention", { run, query }),
    effect: (run, edits) => call("/api/effect", { run, edits }),
    sweep: (run, ask) => call<SweepDocument>("/api/sweep", { run, ...ask }),
  };
  return {
    mode: "widget",
    live: typeof model.get("run") === "string" ? live : null,
    document<T>(key: string): Promise<T> {
      const documents = model.get("documents") as Record<string, unknown>;
      return Object.hasOwn(documents, key)
        ? Promise.resolve(documents[key] as T)
        : Promise.reject(new Error(`the widget has no ${key}`));
    },
    close: () => model.off?.("msg:custom", listen),
  };
}
