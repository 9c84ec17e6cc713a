import { Kept, type Source } from "./source";

declare global {
  interface Window {
    retinoscopeData?: (key: string, document: unknown) => void;
  }
}

/** Documents in script files beside the page: a page on disk may load scripts, but not fetch. */
export function staticSource(page: Window & typeof globalThis = window): Source {
  const arrived = new Map<string, unknown>();
  page.retinoscopeData = (key, document) => arrived.set(key, document);
  const kept = new Kept(
    (key) =>
      new Promise((resolve, reject) => {
        const script = page.document.createElement("script");
        script.src = `data/${encodeURIComponent(key)}.js`;
        script.onload = () => {
          script.remove();
          const document = arrived.get(key);
          arrived.delete(key);
          if (document === undefined) reject(new Error(`data/${key}.js holds no document`));
          else resolve(document);
        };
        script.onerror = () => {
          script.remove();
          reject(new Error(`data/${key}.js is missing: write the page again`));
        };
        page.document.head.append(script);
      }),
  );
  return { mode: "static", live: null, document: (key) => kept.get(key) };
}
