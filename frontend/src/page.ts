import { App } from "./app";
import { liveSource } from "./sources/live";
import { staticSource } from "./sources/static";
import { fromHash, toHash } from "./state/state";
import { Store } from "./state/store";

/** The page on disk or on a server: its address says what it shows. */
function start(): void {
  const root = document.getElementById("app");
  if (!root) throw new Error("the page has no #app");
  const store = new Store(fromHash(location.hash));
  const source = document.body.dataset["mode"] === "live" ? liveSource() : staticSource();
  const app = new App(source, store, "page");
  root.replaceWith(app.el);
  let pending = 0;
  store.watch((state) => {
    clearTimeout(pending);
    // Browsers refuse many changes of the address in a row.
    pending = window.setTimeout(() => history.replaceState(null, "", `#${toHash(state)}`), 150);
  });
  window.addEventListener("hashchange", () => store.set(fromHash(location.hash)));
}

start();
